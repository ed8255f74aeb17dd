//! What a known_hosts file says about a host. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"; matching as in OpenSSH's
//! `hostfile.c`.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use sha1::Sha1;
use std::path::{Path, PathBuf};

/// A line that speaks about the host.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) key: PublicKey,
    pub(crate) revoked: bool,
    /// `FILE line N`, for messages.
    pub(crate) origin: String,
}

/// The lines of `text` whose names match `host` (as of [`Endpoint::known_as`](crate::Endpoint)). `@cert-authority`
/// lines are left out: they name who signs host keys, not a host key. Lines that cannot be read are skipped, as ssh
/// does, with a warning.
pub(crate) fn lookup(text: &str, file: &Path, host: &str) -> Vec<Known> {
    let mut known = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // The parser splits at single spaces; the format allows tabs and runs of blanks.
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = format!("{} line {}", file.display(), index + 1);
        match line.parse::<Entry>() {
            Ok(entry) if matches(entry.host_patterns(), host) => match entry.marker() {
                Some(Marker::CertAuthority) => {}
                marker => known.push(Known {
                    key: entry.public_key().clone(),
                    revoked: marker == Some(&Marker::Revoked),
                    origin,
                }),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%origin, %error, "this known_hosts line cannot be read"),
        }
    }
    known
}

/// The files ssh reads where nothing else is said: the user's and the system's.
pub(crate) fn default_files() -> Vec<PathBuf> {
    let user = std::env::home_dir().map(|home| home.join(".ssh/known_hosts"));
    user.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
}

fn matches(patterns: &HostPatterns, host: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let mut mac = Hmac::<Sha1>::new_from_slice(salt).expect("HMAC takes keys of any length");
            mac.update(host.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    // A negated match settles it, wherever it stands in the list.
                    Some(negated) if glob(&negated.to_lowercase(), host) => return false,
                    Some(_) => {}
                    None => found |= glob(&pattern.to_lowercase(), host),
                }
            }
            found
        }
    }
}

/// `*` and `?`, over the whole of `text`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            // Let the last star swallow one character more.
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn count(line: &str, host: &str) -> usize {
        lookup(&format!("{line} {KEY}\n"), Path::new("kh"), host).len()
    }

    #[test]
    fn names_wildcards_ports_and_negation_match_as_in_openssh() {
        assert_eq!(count("node-1.example,192.0.2.1", "192.0.2.1"), 1);
        assert_eq!(count("node-1.example,192.0.2.1", "192.0.2.11"), 0);
        assert_eq!(count("*.example", "node-1.example"), 1);
        assert_eq!(count("node-?.example", "node-12.example"), 0);
        assert_eq!(count("*.example,!bad.example", "bad.example"), 0);
        assert_eq!(count("!bad.example,*.example", "good.example"), 1);
        assert_eq!(count("[node]:2222", "[node]:2222"), 1);
        assert_eq!(count("node", "[node]:2222"), 0);
        assert_eq!(count("NODE", "node"), 1);
        assert_eq!(count("*a*b", "xxaxxab"), 1);
        assert_eq!(count("*a*b", "xxaxxabc"), 0);
    }

    #[test]
    fn a_hashed_name_is_the_hmac_of_the_name() {
        let salt = b"\x01\x02\x03\x04";
        let mut mac = Hmac::<Sha1>::new_from_slice(salt).unwrap();
        mac.update(b"node-1.example");
        let mut hash = [0; 20];
        hash.copy_from_slice(&mac.finalize().into_bytes());
        let patterns = HostPatterns::HashedName { salt: salt.to_vec(), hash };
        assert!(matches(&patterns, "node-1.example"));
        assert!(!matches(&patterns, "node-2.example"));
    }

    #[test]
    fn markers_comments_tabs_and_broken_lines() {
        let text = format!(
            "# a comment\n\n@cert-authority *.example {OTHER}\nhalf a line\n@revoked *\t{OTHER}\nnode.example  {KEY} me@laptop\n"
        );
        let known = lookup(&text, Path::new("/k"), "node.example");
        assert_eq!(known.len(), 2);
        assert!(known[0].revoked && !known[1].revoked);
        assert_eq!(known[1].origin, "/k line 6");
    }
}
