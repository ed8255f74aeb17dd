#!/usr/bin/env python3
"""Fills the answers of tests/it/expressions.txt in, by asking the `terraform` binary (1.11).

    python3 crates/lang/tests/record.py          # those without an answer
    python3 crates/lang/tests/record.py --all    # all again, but those that are otherwise on purpose (their answer starts with `~`)
    python3 crates/lang/tests/record.py --format # what `terraform fmt` makes of tests/it/format/in

Each expression becomes an output in a file of its own. `plan` says which fail, again and again until none does; then `apply` and
`output -json` give the types and values of the others.
"""
import json, os, pathlib, subprocess, sys, tempfile

if "--format" in sys.argv:
    folder = pathlib.Path(__file__).parent / "it" / "format"
    (folder / "out").mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile() as rc:
        env = dict(os.environ, TF_CLI_CONFIG_FILE=rc.name, CHECKPOINT_DISABLE="1")
        for file in sorted((folder / "in").iterdir()):
            out = folder / "out" / file.name
            out.write_bytes(file.read_bytes())
            answer = subprocess.run(["terraform", "fmt", str(out)], env=env, capture_output=True)
            if answer.returncode != 0:
                sys.exit(f"{file.name}: {answer.stderr.decode()}")
    sys.exit()

table = pathlib.Path(__file__).parent / "it" / "expressions.txt"
lines = table.read_text().splitlines()

# Pairs of an expression's line number and its answer.
cases, answers, i = [], {}, 0
while i < len(lines):
    if lines[i] and not lines[i].startswith("# "):
        cases.append(i)
        if i + 1 < len(lines) and lines[i + 1].startswith(("=> ", "!! ", "~=> ", "~!! ")):
            answers[i] = lines[i + 1]
            i += 1
    i += 1
asked = [i for i in cases if i not in answers or "--all" in sys.argv and not answers[i].startswith("~")]

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "rc").write_text("")
    # Of an empty folder it would make no plan.
    (folder / "none.tf").write_text("locals {}\n")
    env = dict(os.environ, TF_CLI_CONFIG_FILE=str(folder / "rc"), CHECKPOINT_DISABLE="1")

    def terraform(*args):
        return subprocess.run(["terraform", *args], cwd=folder, env=env, capture_output=True, text=True).stdout

    for i in asked:
        text = lines[i].replace("⏎", "\n")
        (folder / f"{i}.tf").write_text(f'output "o{i}" {{\n  sensitive = true\n  value = {text}\n}}\n')
    left = set(asked)
    while True:
        failed = {}
        for line in terraform("plan", "-json", "-input=false").splitlines():
            found = json.loads(line).get("diagnostic")
            if found and found["severity"] == "error":
                file = found.get("range", {}).get("filename")
                if not file:
                    sys.exit(f"no place is given for: {found}")
                i = int(file.removesuffix(".tf"))
                failed.setdefault(i, " ".join(found["detail"].split()))
        for i, detail in failed.items():
            answers[i] = "!! " + detail
            (folder / f"{i}.tf").unlink()
            left.discard(i)
        if not failed:
            break
    terraform("apply", "-auto-approve", "-no-color", "-input=false")
    out = json.loads(terraform("output", "-json"))
    for i in left:
        # An output that is null is left out.
        got = out.get(f"o{i}", {"type": "dynamic", "value": None})
        answers[i] = "=> " + json.dumps(got["type"]) + " " + json.dumps(got["value"], ensure_ascii=False)

text = []
skip = -1
for i, line in enumerate(lines):
    if i == skip:
        continue
    text.append(line)
    if i in answers:
        text.append(answers[i])
        if i + 1 < len(lines) and lines[i + 1].startswith(("=> ", "!! ", "~=> ", "~!! ")):
            skip = i + 1
table.write_text("\n".join(text) + "\n")
print(len(asked), "asked")
