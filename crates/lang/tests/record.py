#!/usr/bin/env python3
"""Asks the `terraform` binary (1.11) for what the tests expect.

    record.py                       the answers that are missing in it/expressions.txt
    record.py --all                 all of them, but those that are otherwise on purpose (their answer starts with `~`)
    record.py --format              what `terraform fmt` makes of it/format/in
    record.py --generate SEED COUNT [FILE]
                                    so many expressions by chance (generate.py) with their answers, into it/generated.txt or FILE
    record.py --unknown SEED COUNT [FILE]
                                    the same with unknown values in them, as a plan shows them, into it/unknown.txt or FILE
    record.py --mangle SEED COUNT FOLDER
                                    so many files with odd spaces into FOLDER/in, and what `terraform fmt` makes of them into FOLDER/out

Each expression becomes an output in a file of its own. `plan` says which fail, again and again until none does; then `apply` and
`output -json` give the types and values of the others.
"""
import json, os, pathlib, random, re, subprocess, sys, tempfile

import generate

HERE = pathlib.Path(__file__).parent / "it"
UNKNOWN = 'resource "terraform_data" "u" {\n  input = timestamp()\n}\n'


class Terraform:
    """A folder with an output for each expression."""

    def __init__(self, folder, texts, extra):
        self.folder, self.texts = pathlib.Path(folder), texts
        (self.folder / "rc").write_text("")
        # Of an empty folder it would make no plan.
        (self.folder / "extra.tf").write_text(extra or "locals {}\n")
        self.env = dict(os.environ, TF_CLI_CONFIG_FILE=str(self.folder / "rc"), CHECKPOINT_DISABLE="1")
        self.left, self.errors, self.odd = set(range(len(texts))), {}, set()
        for i, text in enumerate(texts):
            text = text.replace("⏎", "\n")
            (self.folder / f"{i}.tf").write_text(f'output "o{i}" {{\n  sensitive = true\n  value = {text}\n}}\n')
        if extra:
            self.run("init", "-input=false")

    def run(self, *args):
        return subprocess.run(["terraform", *args], cwd=self.folder, env=self.env, capture_output=True, text=True)

    def drop(self, i):
        (self.folder / f"{i}.tf").unlink()
        self.left.discard(i)

    def plan(self):
        """Plans what can be planned; what cannot has its error in `errors`."""
        while True:
            ran = self.run("plan", "-json", "-input=false", "-out=plan")
            if "goroutine " in ran.stderr:
                self.crashed()
                continue
            failed = {}
            for line in ran.stdout.splitlines():
                found = json.loads(line).get("diagnostic")
                if found and found["severity"] == "error":
                    file = found.get("range", {}).get("filename")
                    endless = re.search(r'output value "o(\d+)": cannot serialize infinity', found["detail"])
                    if endless:
                        # Ours refuses to divide by zero: nothing to compare.
                        self.odd.add(int(endless[1]))
                        failed[int(endless[1])] = "it is infinite"
                        continue
                    if not file:
                        sys.exit(f"no place is given for: {found}")
                    number = int(file.removesuffix(".tf"))
                    if "panic in function implementation" in found["detail"]:
                        self.odd.add(number)
                    failed.setdefault(number, " ".join(found["detail"].split()))
            for i, detail in failed.items():
                self.errors[i] = detail
                self.drop(i)
            if not failed:
                return

    def crashed(self):
        """Finds an expression that terraform crashes on, by halves."""
        suspects = sorted(self.left)
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            with tempfile.TemporaryDirectory() as name:
                other = Terraform(name, [self.texts[i] for i in half], (self.folder / "extra.tf").read_text())
                ran = other.run("plan", "-json", "-input=false")
            suspects = half if "goroutine " in ran.stderr else suspects[len(half):]
        print("terraform crashes on", self.texts[suspects[0]])
        self.odd.add(suspects[0])
        self.drop(suspects[0])

    def answers(self):
        """An answer for each: None where there is none to compare with."""
        self.plan()
        for name, change in json.loads(self.run("show", "-json", "plan").stdout).get("output_changes", {}).items():
            if has_true(change["after_unknown"]):
                # Nothing here is unknown: Terraform's `format` takes a null for that, and gives nothing in the end.
                self.odd.add(int(name[1:]))
        self.run("apply", "-no-color", "-input=false", "plan")
        out = json.loads(self.run("output", "-json").stdout)
        all = []
        for i in range(len(self.texts)):
            # An output that is null is left out.
            got = out.get(f"o{i}", {"type": "dynamic", "value": None})
            good = "=> " + json.dumps(got["type"]) + " " + json.dumps(got["value"], ensure_ascii=False)
            all.append(None if i in self.odd else "!! " + self.errors[i] if i in self.errors else good)
        return all

    def changes(self):
        """What the plan says that each will be: the value, and what of it is unknown."""
        self.plan()
        shown = json.loads(self.run("show", "-json", "plan").stdout)["output_changes"]
        all = []
        for i in range(len(self.texts)):
            change = shown.get(f"o{i}", {"after": None, "after_unknown": False})
            if "terraform_data" not in self.texts[i] and has_true(change["after_unknown"]):
                self.odd.add(i)  # as in answers()
            good = "=> " + json.dumps(change.get("after"), ensure_ascii=False) + " " + json.dumps(change["after_unknown"])
            all.append(None if i in self.odd else "!! " + self.errors[i] if i in self.errors else good)
        return all


def has_true(unknown):
    parts = unknown.values() if isinstance(unknown, dict) else unknown if isinstance(unknown, list) else []
    return unknown is True or any(map(has_true, parts))


def ask(texts, extra="", how=Terraform.answers):
    with tempfile.TemporaryDirectory() as name:
        return how(Terraform(name, texts, extra))


def table(everything):
    path = HERE / "expressions.txt"
    lines = path.read_text().splitlines()
    is_answer = lambda i: i < len(lines) and lines[i].startswith(("=> ", "!! ", "~=> ", "~!! "))
    cases = [i for i, line in enumerate(lines) if line and not line.startswith("# ") and not is_answer(i)]
    asked = [i for i in cases if not is_answer(i + 1) or everything and not lines[i + 1].startswith("~")]
    answers = dict(zip(asked, ask([lines[i] for i in asked])))
    text = []
    for i, line in enumerate(lines):
        if is_answer(i) and i - 1 in answers:
            continue
        text.append(line)
        if i in answers:
            text.append(answers[i])
    path.write_text("\n".join(text) + "\n")
    print(len(asked), "asked")


def by_chance(path, seed, count, unknown):
    texts = generate.expressions(seed, count, unknown)
    answers = ask(texts, UNKNOWN, Terraform.changes) if unknown else ask(texts)
    lines = [f"# Made by record.py of the seed {seed}, answered by terraform 1.11.4. See expressions.rs.", ""]
    for text, answer in zip(texts, answers):
        if answer:
            # That it refuses is enough.
            lines += [text, "!!" if answer.startswith("!!") else answer]
    path.write_text("\n".join(lines) + "\n")
    refused = sum(1 for a in answers if a and a.startswith("!!"))
    print(f"{len(texts)} expressions of the seed {seed}: terraform gave {len(texts) - refused} values and refused {refused}")


def formats():
    folder = HERE / "format"
    (folder / "out").mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile() as rc:
        env = dict(os.environ, TF_CLI_CONFIG_FILE=rc.name, CHECKPOINT_DISABLE="1")
        for file in sorted((folder / "in").iterdir()):
            out = folder / "out" / file.name
            out.write_bytes(file.read_bytes())
            answer = subprocess.run(["terraform", "fmt", str(out)], env=env, capture_output=True)
            if answer.returncode != 0:
                sys.exit(f"{file.name}: {answer.stderr.decode()}")


def mangled(seed, count, folder):
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "rc").write_text("")
    rng = random.Random(seed)
    texts = [file.read_bytes().decode() for file in sorted((HERE / "format" / "in").iterdir()) if file.suffix == ".tf"]
    for i in range(count):
        lines = rng.choice(texts).splitlines(keepends=True)
        if rng.random() < 0.3:
            lines += rng.choice(texts).splitlines(keepends=True)
        # Now and then a line goes, or a line end comes: most files stay whole.
        text = "".join(line for line in lines if rng.random() > 0.003)
        for space in [" ", "  ", "\t", "\n" if rng.random() < 0.1 else " "]:
            at = rng.choice([m.end() for m in re.finditer("[ {(,=]", text)] or [0])
            text = text[:at] + space + text[at:]
        text = re.sub(" +", lambda m: " " * rng.choice([1, 1, 1, 2, 5]) if rng.random() < 0.2 else m[0], text)
        text = re.sub("[ ]([={}()\\[\\],?:+-])", lambda m: m[1] if rng.random() < 0.15 else m[0], text)
        for part in ("in", "out"):
            (folder / part / f"{i}.tf").write_bytes(text.encode())
    env = dict(os.environ, TF_CLI_CONFIG_FILE=str(folder / "rc"), CHECKPOINT_DISABLE="1")
    said = subprocess.run(["terraform", "fmt", "-list=false", "-no-color", str(folder / "out")], env=env, capture_output=True, text=True).stderr
    if "goroutine " in said:
        sys.exit(said)
    refused = set(re.findall(r"  on \S*?(\d+\.tf) line", said))
    for name in refused:
        (folder / "in" / name).unlink()
    print(f"{count} files of the seed {seed}: terraform fmt took {count - len(refused)}")


match sys.argv[1:]:
    case ["--mangle", seed, count, folder]:
        mangled(int(seed), int(count), pathlib.Path(folder))
    case ["--format"]:
        formats()
    case [("--generate" | "--unknown") as what, seed, count, *file]:
        unknown = what == "--unknown"
        default = HERE / ("unknown.txt" if unknown else "generated.txt")
        by_chance(pathlib.Path(file[0]) if file else default, int(seed), int(count), unknown)
    case ["--all"] | []:
        table("--all" in sys.argv)
    case _:
        sys.exit(__doc__)
