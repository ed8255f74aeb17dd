//! YAML as kubeadm's parser (YAML 1.1) reads it: strings that look like something else are quoted.

use serde_json::Value;

/// Documents in one text, separated by `---`.
pub fn documents(values: &[Value]) -> String {
    values.iter().map(document).collect::<Vec<_>>().join("---\n")
}

/// One document, in block style, ending in a newline.
pub fn document(value: &Value) -> String {
    // Folded scalars are left out: they save nothing here and have edge cases in old parsers.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options)
        .expect("JSON values have string keys and are finite: all of them are YAML");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_that_look_like_something_else_are_quoted() {
        // YAML 1.1 takes these for booleans, numbers (octal, base 60), dates, null, merges.
        for text in [
            "yes",
            "No",
            "on",
            "off",
            "y",
            "N",
            "true",
            "null",
            "~",
            "0644",
            "010",
            "0x1f",
            "1.20",
            "1e3",
            "1_000",
            ".5",
            "12:30:45",
            "2001-01-01",
            "=",
            "<<",
            ".inf",
            "-",
            "*:6443",
            "&a",
            "!x",
            "@x",
            "%x",
            "a: b",
            "a #b",
            "",
            " x",
            "x ",
            "[fd00::1]:6443",
            "{}",
            "::1",
        ] {
            let written = document(&json!({ "k": text }));
            let scalar = written.trim_end().strip_prefix("k: ").expect(text);
            assert!(scalar.starts_with(['"', '\'']), "{text:?} is written bare: {written}");
            let back: Value = serde_saphyr::from_str(&written).expect(text);
            assert_eq!(back, json!({ "k": text }));
        }
    }

    #[test]
    fn plain_strings_and_other_kinds_stay_bare() {
        let value =
            json!({ "v": "v1.20.2", "net": "10.0.0.0/16", "b": true, "port": 6443, "none": [], "map": {} });
        assert_eq!(
            document(&value),
            "v: v1.20.2\nnet: 10.0.0.0/16\nb: true\nport: 6443\nnone: []\nmap: {}\n"
        );
    }

    #[test]
    fn documents_are_separated() {
        assert_eq!(documents(&[json!({ "a": 1 }), json!({ "b": 2 })]), "a: 1\n---\nb: 2\n");
    }
}
