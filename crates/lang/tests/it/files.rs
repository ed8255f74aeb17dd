//! Functions that read files and make paths. Answers and messages are those of `terraform console` over the same files.

use grappe_lang::MemoryFiles;

use crate::support::{TestScope, evaluate};

fn scope() -> TestScope {
    let files = [
        ("t/a.tpl", "Hello ${name}!\n"),
        ("t/only.tpl", "${list}"),
        ("t/for.tpl", "%{ for x in list ~}\n- ${x}\n%{ endfor ~}\n"),
        ("t/miss.tpl", "x ${missing}\n"),
        ("t/rec.tpl", "${templatefile(\"t/a.tpl\", {name=\"x\"})}"),
        ("t/bad.tpl", "${name"),
        ("t/path.tpl", "${upper(name)} ${path.module}"),
        ("t/attr.tpl", "${name.x}"),
        ("t/d.yaml", "y\n"),
        ("t/.e.yaml", "y\n"),
        ("t/.hid/f.yaml", "y\n"),
        ("t/g.yml", "y\n"),
        ("t/sub/b.yaml", "y\n"),
        ("t/sub/deep/c.yaml", "y\n"),
    ];
    let files = files.iter().fold(MemoryFiles::new(), |f, (name, text)| f.with(*name, *text));
    TestScope { files: files.with("t/bin.dat", vec![0xff, 0xfe]), ..TestScope::default() }
}

#[test]
fn files_are_read_through_the_scope() {
    let scope = scope();
    for (text, shown) in [
        ("file(\"t/d.yaml\")", "\"y\\n\""),
        ("file(\"./t/sub/../d.yaml\")", "\"y\\n\""),
        ("filebase64(\"t/bin.dat\")", "\"//4=\""),
        ("filemd5(\"t/bin.dat\")", "\"f3b25701fe362ec84616a93a45ce9998\""),
        ("filesha256(\"t/d.yaml\") == sha256(file(\"t/d.yaml\"))", "true"),
        ("filebase64sha512(\"t/d.yaml\") == base64sha512(\"y\\n\")", "true"),
        ("fileexists(\"t/a.tpl\")", "true"),
        ("fileexists(\"t/nope\")", "false"),
        ("templatefile(\"t/a.tpl\", {name = \"w\"})", "\"Hello w!\\n\""),
        ("templatefile(\"t/only.tpl\", {list = [1, 2]})", "[1, 2]"),
        ("templatefile(\"t/for.tpl\", {list = [1, 2]})", "\"- 1\\n- 2\\n\""),
        ("templatefile(\"t/a.tpl\", {name = sensitive(\"a\")})", "(sensitive value)"),
        ("templatestring(\"<$${a}>\", {a = 1})", "\"<1>\""),
        ("pathexpand(\"~/x\")", "\"/home/me/x\""),
        ("pathexpand(\"a/~\")", "\"a/~\""),
        ("abspath(\"./a/../b\")", "\"/plans/lab/b\""),
        ("abspath(\"/a/../../b\")", "\"/b\""),
        ("path.module", "\".\""),
        ("fileset(\"t\", \"*.yaml\")", "[\".e.yaml\", \"d.yaml\"]"),
        (
            "fileset(\"t\", \"**/*.yaml\")",
            "[\".e.yaml\", \".hid/f.yaml\", \"d.yaml\", \"sub/b.yaml\", \"sub/deep/c.yaml\"]",
        ),
        ("length(fileset(\"t\", \"**\"))", "15"),
        ("length(fileset(\"t\", \"*\"))", "12"),
        ("fileset(\"t\", \"{a,d}.*\")", "[\"a.tpl\", \"d.yaml\"]"),
        ("fileset(\"t\", \"sub/*\")", "[\"sub/b.yaml\"]"),
        ("fileset(\"t\", \"[ab].tpl\")", "[\"a.tpl\"]"),
        ("fileset(\"t\", \"?.yml\")", "[\"g.yml\"]"),
        ("fileset(\"nope\", \"*\")", "[]"),
        ("fileset(\"t\", \"../t/*.yml\")", "[\"g.yml\"]"),
        ("fileset(\"t/\", \"sub/**/*.yaml\")", "[\"sub/b.yaml\", \"sub/deep/c.yaml\"]"),
        ("fileset(\"t\", \"**/deep/*\")", "[\"sub/deep/c.yaml\"]"),
        ("fileset(\"t\", \"./*.yml\")", "[\"g.yml\"]"),
        ("fileset(\"t\", \"sub/deep/c.yaml\")", "[\"sub/deep/c.yaml\"]"),
    ] {
        let value = evaluate(text, &scope).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(format!("{value:?}"), shown, "{text}");
    }
}

#[test]
fn what_is_wrong_in_a_template_is_said_with_its_place() {
    let scope = scope();
    for (text, detail) in [
        (
            "templatefile(\"t/miss.tpl\", {name = \"w\"})",
            "Invalid value for \"vars\" parameter: vars map does not contain key \"missing\", referenced at t/miss.tpl:1,5-12.",
        ),
        (
            "templatefile(\"t/path.tpl\", {name = \"w\"})",
            "vars map does not contain key \"path\", referenced at t/path.tpl:1,18-22.",
        ),
        (
            "templatefile(\"t/rec.tpl\", {})",
            "cannot recursively call templatefile from inside another template function.",
        ),
        (
            "templatefile(\"t/bad.tpl\", {name = 1})",
            "t/bad.tpl:1,1-3: Unclosed template interpolation sequence; There is no closing brace",
        ),
        (
            "templatefile(\"t/bin.dat\", {})",
            "contents of \"t/bin.dat\" are not valid UTF-8; use the filebase64 function",
        ),
        (
            "templatefile(\"t/attr.tpl\", {name = \"x\"})",
            "t/attr.tpl:1,7-9: Unsupported attribute; Can't access attributes on a primitive-typed value (string).",
        ),
        ("templatefile(\"t/a.tpl\", [\"x\"])", "invalid vars value: must be a map"),
        (
            "templatefile(\"t/a.tpl\", {\"bad name\" = 1, name = 2})",
            "invalid template variable name \"bad name\": must start with a letter",
        ),
        (
            "templatefile(\"t/a.tpl\", {name = null})",
            "t/a.tpl:1,9-13: Invalid template interpolation value; The expression result is null.",
        ),
        (
            "file(\"t/nope\")",
            "no file exists at \"t/nope\"; this function works only with files that are distributed",
        ),
        ("fileexists(\"t\")", "\"t\" is a directory, not a file."),
        ("fileset(\"t\", \"[\")", "syntax error in pattern."),
    ] {
        let error = evaluate(text, &scope).unwrap_err();
        let squeezed = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(detail), "{text}: {error}");
    }
}
