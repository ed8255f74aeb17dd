"""Expressions by chance, for record.py: a grammar with a seed. Most are what people write; one in six or so is not."""
import random

NUMBERS = ["0", "1", "2", "3", "-1", "10", "0.5", "-2.5", "1e3", "100", "255", "3.14159", "0.1", "1e-7", "1024", "7", "123456789012345678901234567890",
           "1.50", "1e2", "99999999999", "0.30000000000000004"]
STRINGS = ['""', '"a"', '"abc"', '"Hello World"', '" pad "', '"a,b,c"', '"1"', '"01"', '"1.50"', '"true"', '"false"', '"é€😀"', '"line\\nline\\n"', '"\\t"',
           '"a-b_c"', '"12abc"', '"null"', '"1e3"', '"-5"', '"0x1f"', '"$${x}"', '"foo bar baz"', '"ABC-123"', '"%s"', '"ß"', '"x=1&y=<2>"', '"/a/"', '"e\\u0301"',
           '"C:\\\\dir"', '"\\"q\\""', '"TRUE"', '"  \\n x "', '"a.b.c"', '"日本語"']
POOLS = {
    "cidr": ["10.0.0.0/8", "192.168.1.5/24", "2001:db8::/32", "10.0.0.0/33", "0.0.0.0/0", "10.1.2.3", "::1/128", "fe80::1/64", "172.16.0.0/12", "10.0.0.0/30", "fd00::/48", "::/0",
             "1.2.3.4/32", "010.0.0.0/8"],
    "date": ["2024-01-31T12:00:00Z", "2024-02-29T23:59:59+01:00", "2023-12-31T00:00:00-05:30", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00.123Z", "1999-07-04T08:09:10Z",
             "2024-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "2024-01-31t12:00:00z", "2024-01-31T24:00:00Z"],
    "duration": ["1h", "-1h30m", "10ms", "1.5h", "24h", "x", "", "1d", "8760h", "1h1m1s", "-0.5s", "5"],
    "dateformat": ["YYYY-MM-DD", "DD MMM YYYY hh:mm ZZZ", "EEEE, DD-MMM-YY HH:mm:ss AA", "h'o''clock'", "QQ", "'x", "EEE aa", "M/D/YY", "ZZZZ ZZZZZ Z", "YYYYY", "s m H", ""],
    "format": ["%s", "%d", "%5.2f", "%-5s|", "%05d", "%x", "%X", "%o", "%b", "%e", "%g", "%q", "%v", "%#v", "%%", "%t", "%c", "%[2]s %[1]s", "%+d", "% d", "%3d", "%z", "%", "%s %s", "%.3s",
               "%10.3s|", "a%sb%sc", "%8q", "%G", "%E", "%.0f", "%5d|%-5d|", "%[3]d", "%v-%v", "%08.3f", "%-8t|", "%#x"],
    "regex": ["[a-z]+", "(\\\\d+)-(\\\\w+)", "(?P<a>[a-z])(?P<b>[0-9])?", "^$", "(", "a{2,3}", "\\\\pL+", "[[:alpha:]]+", "(?i)ABC", "\\\\bfoo\\\\b", ".*", "(a)|(b)", "x*", "[^,]+", "\\\\.", "a|",
              "(?P<n>.)(.)", "\\\\d", "(?s).+", "$"],
    "replace": ["/[a-z]/", "/(\\\\w)(\\\\w)/", "a", "", "/", "//", "/(/", "b", ",", "/\\\\s+/", " "],
    "with": ["", "x", "$2$1", "$$", '${"$"}{1}', "-", "$1x"],
    "json": ["{}", "[]", "1", "null", "\\\"x\\\"", "{\\\"a\\\": [1, 2.50, true, null]}", "[1, \\\"a\\\", {}]", "{", "1e3", "[1,]", "{\\\"b\\\": 1, \\\"a\\\": 2}", "true", "12345678901234567890", "", "nul", "[[],{}]",
             "{\\\"a\\\": 1, \\\"a\\\": 2}", "0.1", "-0"],
    "yaml": ["a: 1", "- 1\\n- b\\n- true", "x", "", "a: [1, {b: c}]", "a: |\\n  t\\n  u\\n", "~", "yes", "0o17", "017", "1.5", ".inf", "a: &x 1\\nb: *x", "a: 1\\na: 2", "'q'", "2024-01-01", "{a: b", "- ",
             "a:\\n  b: 1\\n  c: [x, y]", "!!str 1", "1_000", "0x1F", "a: ~", "? a\\n: b", "--- 1", "null", "\\\"\\\\u00e9\\\""],
    "csv": ["a,b\\n1,2\\n3,4", "a\\n", "", "a,b\\n1", "a,b\\n\\\"x,y\\\",2\\n", "a,a\\n1,2", "x", "a,b\\n\\\"q\\\"\\\"\\\",\\n"],
    "base64": ["", "aGVsbG8=", "aGVsbG8", "????", "/w==", "4pi6", "YQ==", "YWI="],
    "path": ["/a/b/c.txt", "a", "", "/", "a//b/", "../x", "./a/./b", "C:\\\\x", "a/b/..", ".", "a/"],
    "separator": [",", "", "-", " ", "ab", "\\n"],
    "cut": ["", "a", " ", "abc", "Hd", "éa", "\\n "],
    "base": ["10", "2", "16", "36", "62", "1", "63", "8", "2.5"],
    "uuidns": ["dns", "url", "oid", "x500", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "zzz"],
    "charset": ["UTF-8", "UTF-16LE", "ISO-8859-1", "windows-1252", "nope", "UTF-16", "Shift_JIS", "IBM037"],
    "key": ["a", "b", "zz", "", "0", "x y"],
    "digits": ["10", "-ff", "zz", "", "777", "0x10", "1010", "+5", "9Z", "1.5"],
    "pluskey": ["a", "b", "c"],
}
# Parameters: a kind of value, or the name of a pool.
FUNCTIONS = {
    "abs": ["num"], "alltrue": ["bools"], "anytrue": ["bools"], "base64decode": ["base64"], "base64encode": ["str"], "base64gzip": ["str"], "base64sha256": ["str"],
    "base64sha512": ["str"], "basename": ["path"], "can": ["any"], "ceil": ["num"], "chomp": ["str"], "chunklist": ["list", "num"], "cidrhost": ["cidr", "num"],
    "cidrnetmask": ["cidr"], "cidrsubnet": ["cidr", "num", "num"], "cidrsubnets": ["cidr", "num", "num"], "coalesce": ["any", "any"], "coalescelist": ["list", "list"],
    "compact": ["strs"], "concat": ["list", "list"], "contains": ["list", "any"], "csvdecode": ["csv"], "dirname": ["path"], "distinct": ["list"], "element": ["list", "num"],
    "endswith": ["str", "cut"], "ephemeralasnull": ["any"], "flatten": ["list"], "floor": ["num"], "format": ["format", "any", "any"], "formatdate": ["dateformat", "date"],
    "formatlist": ["format", "list", "any"], "indent": ["num", "str"], "index": ["list", "any"], "issensitive": ["any"], "join": ["separator", "strs"], "jsondecode": ["json"],
    "jsonencode": ["any"], "keys": ["map"], "length": ["coll"], "log": ["num", "num"], "lookup": ["map", "key", "any"], "lower": ["str"], "matchkeys": ["list", "list", "list"],
    "max": ["num", "num"], "md5": ["str"], "merge": ["map", "map"], "min": ["num", "num"], "nonsensitive": ["any"], "one": ["list"], "parseint": ["digits", "base"],
    "pow": ["num", "num"], "range": ["num"], "regex": ["regex", "str"], "regexall": ["regex", "str"], "replace": ["str", "replace", "with"], "reverse": ["list"],
    "setintersection": ["set", "set"], "setproduct": ["list", "list"], "setsubtract": ["set", "set"], "setunion": ["set", "set"], "sha1": ["str"], "sha256": ["str"], "sha512": ["str"],
    "signum": ["num"], "slice": ["list", "num", "num"], "sort": ["strs"], "split": ["separator", "str"], "startswith": ["str", "cut"], "strcontains": ["str", "cut"], "strrev": ["str"],
    "substr": ["str", "num", "num"], "sum": ["nums"], "textdecodebase64": ["base64", "charset"], "textencodebase64": ["str", "charset"], "timeadd": ["date", "duration"],
    "timecmp": ["date", "date"], "title": ["str"], "tobool": ["any"], "tolist": ["list"], "tomap": ["map"], "tonumber": ["any"], "toset": ["list"], "tostring": ["any"],
    "transpose": ["lists"], "trim": ["str", "cut"], "trimprefix": ["str", "cut"], "trimspace": ["str"], "trimsuffix": ["str", "cut"], "try": ["any", "any"], "upper": ["str"],
    "urlencode": ["str"], "uuidv5": ["uuidns", "str"], "values": ["map"], "yamldecode": ["yaml"], "yamlencode": ["any"], "zipmap": ["strs", "list"],
}
GIVES = {
    "num": ["abs", "ceil", "floor", "length", "max", "min", "parseint", "pow", "signum", "sum", "index", "tonumber", "timecmp"],
    "str": ["upper", "lower", "title", "join", "format", "replace", "substr", "trim", "trimprefix", "jsonencode", "strrev", "tostring", "chomp", "indent", "base64encode", "md5"],
    "bool": ["alltrue", "anytrue", "contains", "can", "startswith", "strcontains", "tobool", "issensitive"],
    "list": ["concat", "distinct", "flatten", "tolist", "reverse", "slice", "sort", "split", "keys", "values", "range", "compact", "chunklist", "regexall"],
    "set": ["toset", "setunion", "setintersection", "setsubtract", "setproduct"],
    "map": ["merge", "tomap", "zipmap", "transpose"],
}
KINDS = ["num", "str", "bool", "list", "set", "map", "null"]


class Grammar:
    def __init__(self, seed, unknown=False):
        self.rng = random.Random(seed)
        self.names = []
        self.unknown = unknown

    def pick(self, items):
        return self.rng.choice(items)

    def chance(self, of):
        return self.rng.random() < of

    def expression(self):
        if self.chance(0.4):
            return self.call(self.pick(sorted(FUNCTIONS)), self.pick([0, 1, 1, 2]))
        return self.gen(self.pick(KINDS[:-1] + ["any", "obj"]), self.pick([1, 2, 2, 3]))

    def call(self, name, depth):
        kinds = list(FUNCTIONS[name])
        if name == "range":
            kinds = ["num"] * self.pick([1, 2, 2, 3])
        if name == "cidrsubnets" or name in ("max", "min", "concat", "merge", "setunion", "coalesce", "format"):
            kinds = kinds[:1] + kinds[1:] * self.pick([0, 1, 1, 2])
        if name == "lookup" and self.chance(0.4):
            kinds = kinds[:2]
        if self.chance(0.04):
            kinds = kinds[:-1] if self.chance(0.5) else kinds + ["any"]
        args = [self.gen("any" if self.chance(0.08) else kind, depth) for kind in kinds]
        if name.startswith("format"):
            # With a null, Terraform's result is never known.
            args = ["1" if arg == "null" else arg for arg in args]
        more = "..." if args and self.chance(0.02) else ""
        return f"{name}({', '.join(args)}{more})"

    def gen(self, kind, depth):
        if kind in POOLS:
            return f'"{self.pick(POOLS[kind])}"' if kind != "base" or self.chance(0.1) else self.pick(POOLS[kind])
        if kind == "any":
            kind = self.pick(KINDS + ["obj"])
        if self.unknown and self.chance(0.15):
            return self.pick(["terraform_data.u.id", "terraform_data.u.output"])
        if self.names and self.chance(0.5):
            return self.pick(self.names)
        if self.chance(0.02):
            return "null"
        if self.chance(0.02):
            return f"sensitive({self.gen(kind, depth - 1) if depth > 0 else '1'})"
        if depth <= 0:
            return self.leaf(kind)
        if self.chance(0.12):
            return f"({self.gen('bool', depth - 1)} ? {self.gen(kind, depth - 1)} : {self.gen(kind if self.chance(0.85) else 'any', depth - 1)})"
        if kind in GIVES and self.chance(0.35):
            return self.call(self.pick(GIVES[kind]), depth - 1)
        if self.chance(0.1):
            return self.step(kind, depth)
        return getattr(self, "make_" + kind, lambda _: self.leaf(kind))(depth - 1)

    def leaf(self, kind):
        g = lambda k: self.leaf(k)
        some = lambda k: ", ".join(g(k) for _ in range(self.pick([0, 1, 2, 3])))
        return {
            "num": lambda: self.pick(NUMBERS), "str": lambda: self.pick(STRINGS), "bool": lambda: self.pick(["true", "false"]), "null": lambda: "null",
            "list": lambda: f"[{some(self.pick(['num', 'str', 'bool', 'any' if self.chance(0.2) else 'str']))}]" if self.chance(0.8) else f"tolist([{some('str')}])",
            "strs": lambda: f"[{some('str')}]", "nums": lambda: f"[{some('num')}]", "bools": lambda: f"[{some('bool')}]", "lists": lambda: "{" + f"a = [{some('str')}], b = [{some('str')}]" + "}",
            "set": lambda: f"toset([{some(self.pick(['num', 'str']))}])", "map": lambda: self.pick(["{}", "{a = 1}", '{a = "x", b = "y"}', 'tomap({a = 1, b = 2})', '{b = true, "x y" = 1}', "{0 = 1, a = []}"]),
            "obj": lambda: "{" + ", ".join(f"{n} = {g(self.pick(KINDS))}" for n in self.rng.sample(["a", "b", "c", "d"], self.pick([0, 1, 2, 3]))) + "}",
            "coll": lambda: g(self.pick(["list", "map", "str", "set", "obj"])), "any": lambda: g(self.pick(KINDS)),
        }[kind]()

    def make_num(self, d):
        op = self.pick(["+", "-", "*", "/", "%"])
        if self.chance(0.1):
            return f"-{self.gen('num', d)}"
        return f"({self.gen('num', d)} {op} {self.gen('num', d)})" if self.chance(0.7) else f"{self.gen('num', d)} {op} {self.gen('num', d)}"

    def make_bool(self, d):
        choice = self.rng.random()
        if choice < 0.25:
            return f"{self.gen('num', d)} {self.pick(['<', '<=', '>', '>='])} {self.gen('num', d)}"
        if choice < 0.55:
            kind = self.pick(KINDS)
            return f"({self.gen(kind, d)} {self.pick(['==', '!='])} {self.gen(kind if self.chance(0.7) else 'any', d)})"
        if choice < 0.85:
            return f"({self.gen('bool', d)} {self.pick(['&&', '||'])} {self.gen('bool', d)})"
        return f"!{self.gen('bool', d)}"

    def make_str(self, d):
        parts = []
        for _ in range(self.pick([1, 1, 2, 3])):
            choice = self.rng.random()
            if choice < 0.4:
                parts.append(self.pick(["x", " ", "é", "$${", "-", "\\n", "%%{", "a b", "$", "%"]))
            elif choice < 0.8:
                strip = self.pick(["", "", "", "~"])
                parts.append("${" + strip + " " + self.gen(self.pick(["num", "str", "bool", "str", "any"]), d) + " " + self.pick(["", "", "~"]) + "}")
            elif choice < 0.9:
                parts.append(f"%{{ if {self.gen('bool', d)} }}y%{{ else }}n%{{ endif }}")
            else:
                self.names.append("v")
                body = self.gen(self.pick(["str", "num"]), d)
                self.names.pop()
                parts.append(f"%{{ for v in {self.gen('list', d)} ~}} ${{{body}}}, %{{ endfor }}")
        if self.chance(0.12):
            mark = self.pick(["<<", "<<-"])
            lines = [" " * self.pick([0, 2, 4]) + p.replace("\\n", "") for p in parts]
            return mark + "EOT⏎" + "⏎".join(lines) + "⏎" + self.pick(["", "  "]) + "EOT⏎"
        return '"' + "".join(parts) + '"'

    def make_list(self, d):
        if self.chance(0.3):
            name = self.pick(["x", "y"])
            heads = f"{name} in" if self.chance(0.7) else f"k, {name} in"
            over = self.gen(self.pick(["list", "map", "set", "obj", "list"]), d)
            self.names.append(name)
            body, cond = self.gen(self.pick(["num", "str", "any"]), d), self.gen("bool", d)
            self.names.pop()
            return f"[for {heads} {over} : {body}{' if ' + cond if self.chance(0.3) else ''}]"
        if self.chance(0.15):
            return f"{self.gen('list', d)}[*]" + self.pick(["", ".a", "[0]"])
        if self.chance(0.1):
            return f"[{{a = {self.gen('any', d)}}}, {{a = {self.gen('any', d)}}}]" + self.pick([".*.a", "[*].a", "", "[*][\"a\"]"])
        kind = self.pick(["num", "str", "bool", "any", "list"])
        items = ", ".join(self.gen(kind, d) for _ in range(self.pick([0, 1, 2, 3])))
        return f"[{items}]" if self.chance(0.75) else f"tolist([{items}])"

    def make_set(self, d):
        return f"toset({self.gen('list', d)})"

    def make_map(self, d):
        if self.chance(0.4):
            over = self.gen(self.pick(["list", "map", "obj", "set"]), d)
            self.names += ["k", "v"]
            key, value = self.gen("str", d), self.gen("any", d)
            self.names = self.names[:-2]
            group = "..." if self.chance(0.3) else ""
            return f"{{for k, v in {over} : {self.pick(['k', 'k', 'v', key])} => {value}{group}}}"
        if self.chance(0.3):
            return f"tomap({self.make_obj(d)})"
        return self.make_obj(d)

    def make_obj(self, d):
        keys = self.rng.sample(["a", "b", "c", '"d e"', "(\"f\")", "1", "true"], self.pick([0, 1, 2, 3]))
        return "{" + ", ".join(f"{k} = {self.gen('any', d)}" for k in keys) + "}"

    def make_null(self, d):
        return "null"

    def step(self, kind, depth):
        d = depth - 1
        choice = self.rng.random()
        if choice < 0.35:
            index = self.pick(["0", "1", "-1", "5", self.gen("num", 0), '"0"'])
            return f"{self.gen_base('list', d)}[{index}]"
        if choice < 0.6:
            return f"{self.gen_base('obj', d)}.{self.pick(['a', 'b', 'zz'])}"
        if choice < 0.85:
            key = self.pick(['"a"', '"b"', self.gen("str", 0)])
            return f"{self.gen_base('map', d)}[{key}]"
        return f"{self.gen_base('list', d)}.{self.pick(['0', '1', '*'])}"

    def gen_base(self, kind, d):
        return f"({self.gen(kind, d)})"


def expressions(seed, count, unknown=False):
    """Different ones, one line each (⏎ is a newline)."""
    grammar = Grammar(seed, unknown)
    found = {}
    while len(found) < count:
        text = grammar.expression()
        if len(text) < 600 and not text.startswith(("#", "=>", "!!", "~")):
            found[text] = None
    return list(found)
