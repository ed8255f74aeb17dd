//! Where a plugin's manifest comes from: the plan's own text, or a URL with a checksum.
//!
//! A URL is fetched on a control plane, not here: that is the machine that reaches the cluster's mirrors, and it needs
//! nothing but `curl` or `wget`. What came is held against the checksum before anything of it is applied, and is kept in
//! the state, so that it is fetched once, and every later plan checks and compares the very text that was applied.

use std::time::Duration;

use grappe_provider::{Fault, Problem};
use grappe_provider_kubeadm::access::Kubectl;
use grappe_ssh::{Exec, quote};
use grappe_value::Value;
use sha2::{Digest, Sha256};

/// What is wrong with the arguments that say where a manifest comes from.
pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let given = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let mut problems = Vec::new();
    let mut problem = |name: &str, message: &str| problems.push(Problem::new(name, message));
    match (given("manifest"), given("url")) {
        (true, true) => problem("url", "give `manifest` or `url`, not both"),
        (false, false) => {
            problem("manifest", "give the plugin's `manifest`, or the `url` of one with its `checksum`")
        }
        (true, false) if given("mirror") => problem("mirror", "a mirror is for a `url`"),
        (false, true) if !given("checksum") => {
            problem("checksum", "what comes from a URL needs its SHA-256: `sha256sum FILE` tells it");
        }
        _ => {}
    }
    for name in ["url", "mirror"] {
        if text(name).is_some_and(|url| parts(url).is_none()) {
            problem(name, "it is no URL: write `https://host/path`");
        }
    }
    if text("mirror").and_then(parts).is_some_and(|(scheme, _, _)| scheme == "file") {
        problem("mirror", "a mirror is reached by `https://` or `http://`");
    }
    match text("checksum").map(digest) {
        Some(None) => problem("checksum", "it is no SHA-256: 64 hexadecimal digits, perhaps after `sha256:`"),
        Some(Some(wanted)) => {
            if let Some(found) = text("manifest").map(of).filter(|found| *found != wanted) {
                problem("checksum", &format!("the manifest's SHA-256 is {found}"));
            }
        }
        None => {}
    }
    problems
}

/// Scheme, authority and path.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let known = match scheme {
        "https" | "http" => !authority.is_empty(),
        "file" => authority.is_empty() && path.len() > 1,
        _ => false,
    };
    let plain = url.chars().all(|c| c.is_ascii_graphic());
    (known && plain).then_some((scheme, authority, path))
}

/// 64 hexadecimal digits in lower case.
fn digest(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| hex.to_ascii_lowercase())
}

fn of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The URL on a mirror: the mirror's, with the path of the original.
fn mirrored(url: &str, mirror: Option<&str>) -> String {
    match (mirror, parts(url)) {
        (Some(mirror), Some((_, _, path))) => format!("{}{path}", mirror.trim_end_matches('/')),
        _ => url.to_owned(),
    }
}

/// Fetches a manifest.
///
/// # Errors
/// It cannot be fetched (transient: a server may be down), or is not what the checksum is of.
pub(super) async fn fetch(
    kubectl: &Kubectl,
    url: &str,
    mirror: Option<&str>,
    checksum: &str,
) -> Result<String, Fault> {
    let url = mirrored(url, mirror);
    let quoted = quote(&url);
    let script = format!(
        "f=$(mktemp) || exit 1\ntrap 'rm -f \"$f\"' EXIT\n\
         if command -v curl >/dev/null; then curl -fsSL --connect-timeout 15 --max-time 90 -o \"$f\" {quoted} || exit 1\n\
         elif command -v wget >/dev/null; then wget -q -T 15 -O \"$f\" {quoted} || exit 1\n\
         else echo 'neither curl nor wget is installed' >&2; exit 127\nfi\ncat \"$f\""
    );
    let output = kubectl.remote.ask(Exec::new(script).timeout(Duration::from_secs(120))).await?;
    if !output.success() {
        let mut fault = kubectl.remote.failure(&format!("fetch {url}"), &output);
        fault.kind = Fault::transient("").kind;
        return Err(fault
            .attribute("url")
            .hint("a mirror that the control planes reach can be named with `mirror`"));
    }
    // Every byte counts: the usual reading of output trims its end.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (found, wanted) = (of(&text), digest(checksum).unwrap_or_default());
    if found != wanted {
        return Err(Fault::permanent(format!(
            "what {url} gives is not what was pinned: its SHA-256 is {found}"
        ))
        .attribute("checksum")
        .hint("nothing was applied: look at what changed there before you change the checksum"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_the_paths_of_the_original() {
        let url = "https://example.org/a/v1/kube.yml";
        assert_eq!(
            mirrored(url, Some("http://10.0.0.1:8080/mirror/")),
            "http://10.0.0.1:8080/mirror/a/v1/kube.yml"
        );
        assert_eq!(mirrored(url, None), url);
    }

    #[test]
    fn urls_and_checksums_are_known() {
        for good in ["https://example.org/x.yaml", "http://10.0.0.1:8080/x", "file:///root/x.yaml"] {
            assert!(parts(good).is_some(), "{good}");
        }
        for bad in ["example.org/x", "ftp://example.org/x", "https:///x", "file://x", "https://a/b c", ""] {
            assert!(parts(bad).is_none(), "{bad}");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of(""), empty);
        assert_eq!(digest(&format!("sha256:{}", empty.to_uppercase())).as_deref(), Some(empty));
        assert_eq!(digest("sha256:00"), None);
    }
}
