//! No text, however senseless, makes the shell or a tool panic or run for ever.

use std::sync::LazyLock;

use grappe_sim::shell::parse::parse;
use proptest::prelude::*;

use crate::lab::Lab;

/// One machine for all cases: what they do to it is part of the senselessness.
static LAB: LazyLock<(Lab, String)> = LazyLock::new(|| {
    let lab = Lab::new();
    let machine = lab.machine("victim");
    (lab, machine)
});

/// Words that mean something to a shell, or to the tools it finds.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "if",
        "then",
        "else",
        "fi",
        "for",
        "in",
        "do",
        "done",
        "while",
        "case",
        "esac",
        "{",
        "}",
        "(",
        ")",
        ";",
        ";;",
        "&&",
        "||",
        "|",
        "!",
        "&",
        "\n",
        "<",
        ">",
        ">>",
        "<<",
        "EOF",
        "2>&1",
        "'",
        "\"",
        "`",
        "$(",
        "$((",
        "${",
        "x",
        "=",
        "x=1",
        "$x",
        "$@",
        "${x:-",
        "${x%%",
        "*",
        "?",
        "[",
        "]",
        "[[",
        "]]",
        "\\",
        "#",
        "~",
        "echo",
        "true",
        "false",
        "cat",
        "test",
        "read",
        "set",
        "-e",
        "-u",
        "eval",
        "exit",
        "return",
        "break",
        "trap",
        "shift",
        "local",
        "f()",
        "f",
        "sed",
        "s/a/b/g",
        "'s/\\(a*\\)*/\\1/'",
        "awk",
        "'{print $1}'",
        "grep",
        "-E",
        "'(a|b)*c{1,3}'",
        "printf",
        "%s%d%5.2f%b%%",
        "\\x",
        "cut",
        "-d:",
        "-f1-",
        "tr",
        "a-z",
        "'[:upper:]'",
        "find",
        "/",
        "-name",
        "xargs",
        "sort",
        "-k2n",
        "head",
        "-n-1",
        "tail",
        "date",
        "+%Y",
        "kubectl",
        "get",
        "nodes",
        "-o",
        "jsonpath={.a[",
        "kubeadm",
        "join",
        "--token",
        "systemctl",
        "show",
        "apt-get",
        "install",
        "curl",
        "https://",
        "haproxy",
        "-c",
        "-f",
        "/etc/hosts",
        "stat",
        "%a",
        "seq",
        "9",
        "0",
        "-1",
        "99999999999999999999",
        "é",
        "\u{0}",
        "sleep",
        "timeout",
        "1",
        "sudo",
        "-n",
        "env",
        "base64",
        "-d",
        "ip",
        "-j",
        "addr",
        "sh",
        "<&-",
        "cd",
        "..",
        "rm",
        "-rf",
        "mv",
        "cp",
        "-a",
        "ln",
        "-s",
        "chmod",
        "u+x",
        "mktemp",
        "openssl",
        "x509",
    ])
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec((word(), prop::sample::select(vec![" ", " ", "", "\n"])), 0..40)
        .prop_map(|parts| parts.into_iter().map(|(word, gap)| format!("{word}{gap}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,200}", bash in any::<bool>()) {
        let _ = parse(&text, bash);
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&String::from_utf8_lossy(&bytes), true);
    }

    #[test]
    fn any_words_are_parsed_or_refused(text in soup(), bash in any::<bool>()) {
        let _ = parse(&text, bash);
    }

    #[test]
    fn any_words_are_run_to_an_end(text in soup()) {
        let (lab, machine) = &*LAB;
        lab.world.exec(machine, "debian", &text, b"a b\nc\n").unwrap();
    }
}

#[test]
fn depth_is_bounded() {
    let (lab, machine) = &*LAB;
    for (open, close) in [
        ("(", ")"),
        ("$(", ")"),
        ("{ ", "; }"),
        ("$((", "))"),
        ("\"$(", ")\""),
        ("${x:-", "}"),
        ("if ", ""),
        ("(( ", ""),
        ("case x in x) ", ""),
    ] {
        let text = format!("{}true{}", open.repeat(5000), close.repeat(5000));
        let output = lab.world.exec(machine, "root", &text, b"").unwrap();
        assert_ne!((output.status, output.stderr.is_empty()), (0, true), "{open}");
    }
    for endless in [
        "f() { f; }; f",
        "while true; do :; done",
        "until false; do sleep 1000; done",
        "x='eval \"$x\"'; eval \"$x\"",
        "echo 'sh /tmp/s' > /tmp/s; sh /tmp/s",
        "echo '. /tmp/s' > /tmp/s; . /tmp/s",
        "for i in $(seq 1000); do for j in $(seq 1000); do :; done; done",
    ] {
        let output = lab.world.exec(machine, "root", endless, b"").unwrap();
        assert_ne!(output.status, 0, "{endless}");
    }
    let output = lab
        .world
        .exec(
            machine,
            "root",
            "timeout 5 sh -c 'while true; do sleep 1; done'; echo $?; timeout 5 true; echo $?",
            b"",
        )
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "124\n0\n");
}
