//! apt: Debian and Ubuntu.

use std::collections::BTreeMap;

use grappe_ssh::quote;

use super::{Package, Wanted};

/// Ours, with: no questions (needrestart's neither), old configuration files kept, ten minutes of patience with another
/// apt (a fresh machine runs its own at boot).
const APT: &str = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y -o DPkg::Lock::Timeout=600 \
                   -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold";

/// Waits until nobody holds a lock, and says who does.
///
/// apt waits for dpkg's locks by itself, but not for that of the lists, and names nobody. Who holds a lock is in
/// /proc/locks, by the file's inode; open file description locks have no process there (-1), so whoever has the file
/// open is asked for.
const WAIT: &str = r#"grappe_locks() {
  [ -r /proc/locks ] || return 0
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
    inode=$(stat -c %i "$lock" 2>/dev/null) || continue
    pid=$(awk -v i="$inode" '$2 == "POSIX" && $4 == "WRITE" { n = split($6, at, ":"); if (at[n] == i) { print $5; exit } }' /proc/locks)
    [ -n "$pid" ] && [ -e "/proc/$pid/fd" ] || continue
    for fd in /proc/$pid/fd/*; do
      if [ "$(readlink "$fd")" = "$lock" ]; then echo "$lock is held by $(cat "/proc/$pid/comm") (pid $pid)"; return 0; fi
    done
  done
}
grappe_said=; grappe_tries=0
while grappe_holder=$(grappe_locks); [ -n "$grappe_holder" ]; do
  [ "$grappe_holder" = "$grappe_said" ] || echo "waiting: $grappe_holder"
  grappe_said=$grappe_holder; grappe_tries=$((grappe_tries + 1))
  if [ "$grappe_tries" -gt 600 ]; then echo "gave up after ten minutes: $grappe_holder" >&2; exit 75; fi
  sleep 1
done
"#;

pub(super) fn query(quoted: &str) -> String {
    if quoted.is_empty() {
        return "true".into();
    }
    // dpkg-query exits with 1 when it does not know one of them, which is an answer.
    format!(
        "dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Abbrev}}\\n' {quoted} 2>/dev/null || true"
    )
}

/// Lines of `name version xy`: x is what is wanted (i install, h hold), y what is (i installed). dpkg-query(1).
pub(super) fn read(text: &str) -> BTreeMap<String, Package> {
    let mut packages = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, version, status] = words[..]
            && status.as_bytes().get(1) == Some(&b'i')
        {
            let package = Package { version: version.to_owned(), held: status.starts_with('h') };
            packages.insert(name.to_owned(), package);
        }
    }
    packages
}

pub(super) fn refresh() -> String {
    format!("{WAIT}{APT} update")
}

pub(super) fn install(wanted: &[Wanted<'_>]) -> String {
    let word = |wanted: &Wanted<'_>| match wanted.version {
        Some(version) => quote(&format!("{}={version}", wanted.name)),
        None => quote(wanted.name),
    };
    let wanted = wanted.iter().map(word).collect::<Vec<_>>().join(" ");
    let install =
        format!("{APT} install --no-install-recommends --allow-downgrades --allow-change-held-packages");
    // The lists of a fresh machine are empty, those of an old one stale: they are fetched when they turn out to be. What a
    // kill left half configured is finished first.
    format!(
        "{WAIT}dpkg --configure -a && {{ {install} {wanted} || {{ {APT} update && {install} {wanted}; }}; }}"
    )
}

pub(super) fn remove(quoted: &str) -> String {
    format!("{WAIT}dpkg --configure -a && {APT} remove --allow-change-held-packages {quoted}")
}

/// Lines of ` NAME | VERSION | SOURCE`, the newest first: apt-cache(8), `madison`.
pub(super) fn read_offers(text: &str, name: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        (columns.next()? == name).then(|| columns.next().map(str::to_owned))?
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    use super::*;

    #[test]
    fn offers_are_madisons() {
        let text = "   kubeadm | 1.34.10-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n   \
                       kubelet | 1.34.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n   \
                       kubeadm | 1.34.1-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n";
        assert_eq!(read_offers(text, "kubeadm"), ["1.34.10-1.1", "1.34.1-1.1"]);
        assert_eq!(read_offers("", "kubeadm"), [""; 0]);
    }

    #[test]
    fn versions_go_behind_an_equals_sign() {
        let script = install(&[Wanted { name: "kubeadm", version: Some("1.34.*") }, Wanted::any("jq")]);
        assert!(script.ends_with("--allow-change-held-packages 'kubeadm=1.34.*' 'jq'; }; }"), "{script}");
    }

    #[test]
    fn a_lock_is_waited_for_and_its_holder_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display().to_string();
        // As dpkg locks: by fcntl(2), which the lock of another process does not get past.
        let lock = |kind: libc::c_int| {
            let whole = libc::flock {
                l_type: kind.try_into().expect("a short"),
                l_whence: libc::SEEK_SET.try_into().expect("a short"),
                l_start: 0,
                l_len: 0,
                l_pid: 0,
            };
            fcntl(file.as_file(), FcntlArg::F_SETLK(&whole)).expect("a lock");
        };
        lock(libc::F_WRLCK);
        let script = WAIT.replace("/var/lib/dpkg/lock-frontend", &path) + "echo free";
        let mut waiting =
            Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("sh");
        let mut lines = BufReader::new(waiting.stdout.take().expect("its output")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let said = line();
        let own = format!("(pid {})", std::process::id());
        assert!(said.starts_with(&format!("waiting: {path} is held by ")) && said.ends_with(&own), "{said}");
        lock(libc::F_UNLCK);
        assert_eq!(line(), "free");
        assert!(waiting.wait().expect("its end").success());
    }
}
