//! Letting the cluster's own networks through a machine's firewall.
//!
//! Photon drops what comes in unless a rule lets it: `iptables.service` loads the rules of [`SAVED_PATH`] at boot, so that a
//! rule is made twice, in the kernel and in that file. On the RHEL family firewalld does; it is told by `firewall-cmd`.

/// Photon's rules at boot, in the form of iptables-save(8).
pub const SAVED_PATH: &str = "/etc/systemd/scripts/ip4save";

/// The rules that let a network in, out of the machine's pods and to them, as `iptables -S` prints them.
pub fn rules(network: &str) -> [String; 3] {
    let tail = "-m comment --comment grappe -j ACCEPT";
    [
        format!("-A INPUT -s {network} {tail}"),
        format!("-A FORWARD -s {network} {tail}"),
        format!("-A FORWARD -d {network} {tail}"),
    ]
}

/// The saved rules with those of the networks, and none of ours besides. `None` without a `*filter` table.
pub fn saved(text: &str, networks: &[String]) -> Option<String> {
    let ours = |line: &str| line.contains("--comment grappe ");
    let mut out = String::new();
    let (mut inside, mut done) = (false, false);
    for line in text.split_inclusive('\n').filter(|line| !ours(line)) {
        inside |= line.trim() == "*filter";
        if inside && !done && line.trim() == "COMMIT" {
            for rule in networks.iter().flat_map(|network| rules(network)) {
                out.push_str(&rule);
                out.push('\n');
            }
            done = true;
        }
        out.push_str(line);
    }
    done.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Photon 5 brings it (SPECS/iptables/ip4save), shortened.
    const PHOTON: &str = "# init\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n# Allow local-only connections\n\
        -A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
        -A OUTPUT -j ACCEPT\nCOMMIT\n";

    #[test]
    fn rules_go_to_the_end_of_the_filter_table_and_out_again() {
        let one = saved(PHOTON, &["10.0.0.0/16".into()]).expect("a table");
        assert!(
            one.ends_with(
                "-A OUTPUT -j ACCEPT\n-A INPUT -s 10.0.0.0/16 -m comment --comment grappe -j ACCEPT\n\
                 -A FORWARD -s 10.0.0.0/16 -m comment --comment grappe -j ACCEPT\n\
                 -A FORWARD -d 10.0.0.0/16 -m comment --comment grappe -j ACCEPT\nCOMMIT\n"
            ),
            "{one}"
        );
        assert_eq!(saved(&one, &["10.0.0.0/16".into()]).as_deref(), Some(one.as_str()));
        assert_eq!(saved(&one, &[]).as_deref(), Some(PHOTON));
        assert_eq!(saved("", &[]), None);
    }
}
