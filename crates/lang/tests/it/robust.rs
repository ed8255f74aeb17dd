//! What no user means: garbage, depth, size. Nothing panics, nothing overflows a thread's stack, and cost is linear.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::support::{TestScope, evaluate, load_files, rendered};

/// A program that breaks in interesting places when cut and mixed.
const SEED: &str = include_str!("expressions.txt");

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let files = grappe_lang::MemoryFiles::new().with("main.tf", bytes);
        let (_, sources, diags) = grappe_lang::load(&files, ".".as_ref());
        rendered(&diags, &sources);
    }

    #[test]
    fn random_tokens_never_panic(tokens in prop::collection::vec(prop::sample::select(vec![
        "resource", "\"a\"", "{", "}", "[", "]", "(", ")", "=", "\n", "${", "%{", "~}", "~", "<<-EOT\n", "EOT\n", "\"", "for", "in", ":", "=>",
        "if", "endif", "x", ".", "*", "0", "1e9", "...", ",", "?", "&&", "!", "-", "#", "/*", "*/", "\\", "é", "\r\n", " ", "locals", "dynamic", "else", "endfor",
    ]), 0..60)) {
        let (_, sources, diags) = load_files(&[("main.tf", &tokens.join(" "))]);
        rendered(&diags, &sources);
        let (_, sources, diags) = load_files(&[("main.tf", &format!("locals {{\n  a = {}\n}}\n", tokens.concat()))]);
        rendered(&diags, &sources);
    }

    #[test]
    fn pieces_of_programs_never_panic(line in 0..1600usize, cut in 0..80usize, other in 0..1600usize) {
        let lines: Vec<&str> = SEED.lines().collect();
        let text: String = lines[line % lines.len()].chars().take(cut).chain(lines[other % lines.len()].chars()).collect();
        // Evaluating too: what loads must not panic later.
        let _ = evaluate(&text.replace('⏎', "\n"), &TestScope::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn expressions_by_chance_never_panic(a in 0..3000usize, b in 0..3000usize, cut in 0..200usize, other in 0..200usize) {
        let lines: Vec<&str> = include_str!("generated.txt").lines().filter(|l| !l.starts_with(['=', '!', '~', '#']) && !l.is_empty()).collect();
        let (a, b) = (lines[a % lines.len()], lines[b % lines.len()]);
        // The beginning of one, and the end of another.
        let text: String = a.chars().take(cut).chain(b.chars().skip(other)).collect();
        let _ = evaluate(&text.replace('⏎', "\n"), &TestScope::default());
    }

    #[test]
    fn templates_never_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "${", "}", "%{", "%{ if a }", "%{ else }", "%{ endif }", "%{ for x in l }", "%{ endfor ~}", "${~ a ~}", "a", "\n", "  ", "\\", "\"", "$${", "%%{", "{", "x", "é", "l[0]", "upper(a)", "$", "%",
    ]), 0..30)) {
        let files = grappe_lang::MemoryFiles::new().with("t.tpl", parts.concat());
        let scope = TestScope { files, ..TestScope::default() };
        let _ = evaluate("templatefile(\"t.tpl\", {a = true, l = [\"x\", 1]})", &scope);
    }

    #[test]
    fn variable_files_never_panic(lines in prop::collection::vec(prop::sample::select(vec![
        "a = 1", "b = [", "]", "c = {", "}", "d = \"x\"", "e = var.a", "f = <<EOT", "EOT", "block {", "\"q\" = 1", "a: 1,", "# c", "/*", "*/", "{\"a\": [1, {}]}", "g = null", "\u{feff}", "h = f(1)",
    ]), 0..12), json in any::<bool>()) {
        let mut sources = grappe_diag::Sources::new();
        let name = if json { "x.tfvars.json" } else { "x.tfvars" };
        let (_, diags) = grappe_lang::parse_tfvars(&mut sources, name, &lines.join("\n"));
        rendered(&diags, &sources);
    }

    #[test]
    fn documents_never_panic(text in "[-a-z0-9:{}\\[\\],&*!|>#'\" \n~?%@.]{0,60}") {
        let quoted = serde_json::to_string(&text).unwrap().replace("${", "$${").replace("%{", "%%{");
        for function in ["yamldecode", "jsondecode", "csvdecode", "base64decode", "urlencode", "yamlencode", "base64gzip"] {
            let _ = evaluate(&format!("{function}({quoted})"), &TestScope::default());
        }
        let _ = evaluate(&format!("regexall({quoted}, {quoted})"), &TestScope::default());
        let _ = evaluate(&format!("format({quoted}, 1, \"a\", null)"), &TestScope::default());
    }
}

/// Each would take more memory than there is, or hours.
#[test]
fn what_is_too_much_is_refused_in_a_moment() {
    let start = Instant::now();
    for text in [
        "length([for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]])",
        "length(join(\"\", [for a in range(1000) : join(\"\", [for b in range(1000) : format(\"%10000d\", 1)])]))",
        "setproduct(range(1000), range(1000), range(1000))",
        "range(1e12)",
        "length([for i in range(1000) : formatlist(\"%10000s\", range(1000))])",
        "length([for i in range(1000) : { a = setproduct(range(100), range(100)) }])",
        "regex(\"((((a{100}){100}){100}){100}){100}\", \"a\")",
    ] {
        assert!(evaluate(text, &TestScope::default()).is_err(), "{text}");
    }
    for text in [
        "length(format(\"%999999999d\", 1)) > 0",
        "1e999999999 + 1 > 0",
        "length(indent(999999999, \"a\\nb\")) > 0",
        "bcrypt(\"x\", 31)",
    ] {
        // Given or refused, but soon.
        let _ = evaluate(text, &TestScope::default());
    }
    // Measured at 6 s without optimisation on two busy cores.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// With the stack that a thread has by default.
fn in_a_thread(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap().join().unwrap();
}

#[test]
fn depth_is_bounded_and_what_is_allowed_fits_the_stack() {
    in_a_thread(|| {
        for (open, middle, close) in [
            ("[", "1", "]"),
            ("(", "1", ")"),
            ("{a = ", "1", "}"),
            ("\"${", "1", "}\""),
            ("upper(", "\"x\"", ")"),
            ("!", "true", ""),
            ("true ? ", "1", " : 2"),
            ("true ? 1 : ", "1", ""),
            ("[for x in [1] : ", "x", "]"),
            ("[0, 1][", "1", "]"),
            ("try(", "1", ")"),
        ] {
            for depth in [40, 120, 5_000, 20_000] {
                let text = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
                match evaluate(&text, &TestScope::default()) {
                    Ok(_) => assert!(depth < 5_000, "{open} {depth}"),
                    Err(error) => assert!(
                        depth > 40
                            && (error.contains("Nested too deeply")
                                || depth == 120 && !error.contains("panicked")),
                        "{open} {depth}: {error}"
                    ),
                }
            }
        }
        for depth in [40, 100, 5_000] {
            let text = format!("\"{}x{}\"", "%{if true}".repeat(depth), "%{endif}".repeat(depth));
            assert_eq!(evaluate(&text, &TestScope::default()).is_ok(), depth < 5_000);
        }
        let blocks =
            format!("resource \"a\" \"b\" {{\n{}{}}}\n", "x {\n".repeat(10_000), "}\n".repeat(10_000));
        let (_, _, diags) = load_files(&[("main.tf", &blocks)]);
        assert!(diags.to_string().contains("Nested too deeply"), "{diags}");
        let nested = "%{endif}".repeat(10) + &"${\"%{if true}".repeat(10_000);
        let (config, ..) = load_files(&[("main.tf", &format!("locals {{\n  a = \"{nested}\"\n}}\n"))]);
        assert!(config.is_none());
    });
}

#[test]
fn long_is_not_deep() {
    in_a_thread(|| {
        let sum = vec!["1"; 20_000].join(" + ");
        assert_eq!(format!("{:?}", evaluate(&sum, &TestScope::default()).unwrap()), "20000");
        let all = vec!["true"; 20_000].join(" && ");
        assert_eq!(format!("{:?}", evaluate(&all, &TestScope::default()).unwrap()), "true");
        let template = format!("\"{}\"", "${1}".repeat(20_000));
        assert_eq!(evaluate(&template, &TestScope::default()).unwrap().as_str().unwrap().len(), 20_000);
    });
}

#[test]
fn a_bomb_of_aliases_does_not_go_off() {
    let mut yaml = "a: &a [1,1,1,1,1,1,1,1,1]\\n".to_owned();
    for (name, before) in ('b'..='k').zip('a'..='j') {
        yaml.push_str(&format!("{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\\n"));
    }
    let error = evaluate(&format!("yamldecode(\"{yaml}\")"), &TestScope::default()).unwrap_err();
    assert!(error.contains("aliases stand for too much"), "{error}");
}

#[test]
fn ten_thousand_instances_are_evaluated_in_a_moment() {
    let source = r#"
resource "host" "many" {
  count = 10000
  name  = "node-${count.index}-${count.index % 2 == 0 ? "even" : "odd"}"
  peer  = host.other[count.index].id
  tags  = { for k in ["a", "b"] : k => upper(k) }
}
resource "host" "other" { count = 10000 }
"#;
    let (config, sources, diags) = load_files(&[("main.tf", source)]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    let body = &config.root.resources[0].body;
    let others: Vec<grappe_value::Value> =
        (0..10_000i64).map(|i| grappe_value::Value::object([("id", grappe_value::Value::from(i))])).collect();
    let mut scope = TestScope::default();
    scope.resources.insert("host.other".into(), grappe_value::Value::tuple(others));
    let start = Instant::now();
    for i in 0..10_000 {
        scope.count = Some(i);
        scope.reads.borrow_mut().clear();
        for name in ["name", "peer", "tags"] {
            body.argument(name).unwrap().eval(&scope).unwrap();
        }
        assert_eq!(scope.reads.borrow().len(), 1);
    }
    // Measured at 0.1 s without optimisation on two cores; a quadratic evaluator would need minutes.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_long_file_loads_in_linear_time() {
    let block = |i: usize| {
        format!(
            "resource \"host\" \"r{i}\" {{\n  name = \"n-${{local.l{i}}}\"\n  tags = {{ a = [1, 2, 3] }}\n}}\nlocals {{\n  l{i} = {i}\n}}\n"
        )
    };
    let text: String = (0..10_000).map(block).collect();
    let start = Instant::now();
    let (config, _, diags) = load_files(&[("main.tf", &text)]);
    assert!(config.is_some(), "{diags}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Valid, but refused or misread by the library that parses (see `syntax/mod.rs`).
#[test]
fn what_the_parser_does_not_take_is_read_all_the_same() {
    let repeated: String = (0..8).map(|i| format!("a = {i}, ")).collect();
    for (text, want) in [
        ("[for x in true\n ? [1]\n : [] : x]".to_owned(), "[1]"),
        ("{for k,\n v in {a = 1}\n : k => v\n if v\n > 0}".to_owned(), r#"{"a":1}"#),
        ("{a = [1,\r\n 2], # one\r\n b = 3 /* } */\r\n}".to_owned(), r#"{"a":[1,2],"b":3}"#),
        (format!("{{{repeated}b = 1}}"), r#"{"a":7,"b":1}"#),
        ("{\"a\" = 1, \"a\" = 2, (upper(\"a\")) = 3, (upper(\"a\")) = 4}".to_owned(), r#"{"A":4,"a":2}"#),
        (format!("[for x in [2] : {} > 0 ? x * -1 : 0 if x{} > 0]", vec!["x"; 300].join(" * x + "), " + 1".repeat(200)), "[-2]"),
        ("[1e400 > 18446744073709551616, 1e-2]".to_owned(), "[true,0.01]"),
        ("join(\"\", [\"}\", <<-E\n    %{ for x in [\")\"] }\n    ${x}\n    %{ endfor }\n  E\n  , \"\\\"]\"])".to_owned(), r#""}\n)\n\n\"]""#),
    ] {
        let got = evaluate(&text, &TestScope::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(grappe_value::json::to_text(&got, false).unwrap(), want, "{text}");
    }
}

#[test]
fn what_is_wrong_only_as_a_whole_is_said() {
    for text in [
        "x { a = 1\n b = 2\n}",
        "x { y {} }",
        "x {\n} y {\n}",
        "x \"${1}\" {\n}",
        "x {\n a = 1\n a = 2\n}",
        "x {\n a = 1 }",
    ] {
        let (config, _, diags) = load_files(&[("main.tf", &format!("locals {{\n{text}\n}}\n"))]);
        assert!(config.is_none());
        assert!(
            diags.has_errors() && diags.to_string().contains("lock")
                || diags.to_string().contains("redefined"),
            "{text}: {diags}"
        );
    }
}
