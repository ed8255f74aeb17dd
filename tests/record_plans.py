#!/usr/bin/env python3
"""Fills what `terraform` (1.11) says to the steps of tests/it/plans.txt in.

    python3 tests/record_plans.py          # cases without an answer
    python3 tests/record_plans.py --all    # all again; lines that begin with `~` stay
    python3 tests/record_plans.py --check  # says where terraform says something else, and changes nothing
"""
import concurrent.futures, json, os, pathlib, re, subprocess, sys, tempfile

table = pathlib.Path(__file__).parent / "it" / "plans.txt"
ANSWER = ("=> ", "!! ", "!> ", "~")


def read(text):
    """The head, and the cases: (name, [step]); a step is (line `@ …`, lines, answers)."""
    head, cases = [], []
    for line in text.splitlines():
        if line.startswith("## "):
            cases.append((line[3:], []))
        elif not cases:
            head.append(line)
        elif line.startswith("@"):
            cases[-1][1].append((line, [], []))
        elif cases[-1][1]:
            (_, lines, answers) = cases[-1][1][-1]
            (answers if line.startswith(ANSWER) else lines).append(line)
    for _, steps in cases:
        for _, lines, _ in steps:
            while lines and not lines[-1]:
                lines.pop()
    return head, cases


def files(lines):
    out, name = {}, "main.tf"
    for line in lines:
        if line.startswith("--- "):
            name = line[4:]
            out[name] = []
        else:
            out.setdefault(name, []).append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in out.items()}


def answers(case):
    name, steps = case
    out = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rc").write_text("")
        env = dict(os.environ, TF_CLI_CONFIG_FILE=str(folder / "rc"), CHECKPOINT_DISABLE="1", TF_IN_AUTOMATION="1")

        def terraform(*args):
            return subprocess.run(["terraform", *args], cwd=folder, env=env, capture_output=True, text=True)

        for options, lines, _ in steps:
            for path, text in files(lines).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            said = []
            terraform("init", "-no-color")
            plan = terraform("plan", "-json", "-input=false", "-out=p", *options[1:].split())
            if plan.returncode:
                found = [json.loads(l).get("diagnostic") for l in plan.stdout.splitlines() if l.startswith("{")]
                said = sorted({"!! " + d["summary"] for d in found if d and d["severity"] == "error"})
                out.append(said)
                continue
            shown = json.loads(terraform("show", "-json", "p").stdout)
            for change in shown.get("resource_changes", []):
                actions, before = change["change"]["actions"], change.get("previous_address")
                if actions != ["no-op"] or before:
                    line = [" ".join(actions), change["address"]]
                    line += ["<- " + before] if before else []
                    line += [change["action_reason"]] if change.get("action_reason") else []
                    said.append("=> " + " ".join(line))
                if change["change"].get("importing"):
                    said.append(f"=> import {change['address']} {change['change']['importing']['id']}")
            said.sort()
            if terraform("apply", "-no-color", "-input=false", "p").returncode:
                said.append("!> 1")
            log = folder / "log"
            if log.exists():
                said.append("=> log " + " ".join(log.read_text().split()))
            out.append(said or ["=> nothing"])
    return out


head, cases = read(table.read_text())
check, every = "--check" in sys.argv, "--all" in sys.argv
asked = [c for c in cases if every or check or not all(step[2] for step in c[1])]
wrong = 0
with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
    for case, recorded in zip(asked, pool.map(answers, asked)):
        for (options, lines, had), said in zip(case[1], recorded):
            own = [line for line in had if line.startswith("~")]
            if check and [line for line in had if not line.startswith("~")] != said:
                wrong += 1
                print(f"{case[0]}: recorded {had}, and now it says {said}")
            had[:] = said + own
if not check:
    text = list(head)
    for name, steps in cases:
        text.append("## " + name)
        for options, lines, said in steps:
            text += [options.rstrip(), *lines, *said]
        text.append("")
    table.write_text("\n".join(text).rstrip() + "\n")
print(len(asked), "cases asked")
sys.exit(bool(wrong))
