//! The rendered file is loaded by the installed HAProxy (`haproxy -c`).

use std::process::Command;

use grappe_kubeadm::haproxy::{Backend, Balance, Check, Proxy, render};

/// What `haproxy -c` says of the file: its exit status and output.
fn check(config: &str) -> (bool, String) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("haproxy.cfg");
    let mut file = tempfile::NamedTempFile::new_in(dir.path()).expect("a temporary file");
    std::io::Write::write_all(&mut file, config.as_bytes()).expect("the file can be written");
    file.persist(&path).expect("the file can be renamed");
    let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("HAProxy is not installed: this test needs it (Debian: apt-get install haproxy)");
    let output = Command::new(program).arg("-c").arg("-f").arg(&path).output().expect("HAProxy runs");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn proxy() -> Proxy {
    let mut proxy = Proxy::new("api", vec!["127.0.0.1:5443".into(), "[::1]:5443".into()]);
    proxy.backends = vec![
        Backend { name: "cp1".into(), address: "10.0.0.1".into(), port: 6443 },
        Backend { name: "cp2".into(), address: "fd00::2".into(), port: 6443 },
        Backend { name: "cp3".into(), address: "localhost".into(), port: 6443 },
    ];
    proxy
}

#[test]
fn haproxy_loads_every_form() {
    let balances = [Balance::LeastConn, Balance::RoundRobin, Balance::Source, Balance::First];
    for balance in balances {
        for health in [Check::Https { path: "/readyz".into() }, Check::Tcp] {
            let proxy = Proxy { balance, check: health, ..proxy() };
            proxy.validate().expect("a valid model");
            let config = render(&proxy);
            let (ok, says) = check(&config);
            assert!(ok, "HAProxy refuses:\n{config}\n{says}");
            assert!(!says.contains("[WARNING]"), "HAProxy warns:\n{config}\n{says}");
        }
    }
}

#[test]
fn haproxy_loads_a_proxy_without_servers() {
    let config = render(&Proxy { backends: Vec::new(), ..proxy() });
    let (ok, says) = check(&config);
    assert!(ok, "HAProxy refuses:\n{config}\n{says}");
}

#[test]
fn a_name_that_does_not_resolve_disables_only_its_server() {
    let mut proxy = proxy();
    proxy.backends[2].address = "cp3.does-not-resolve.invalid".into();
    let (ok, says) = check(&render(&proxy));
    assert!(ok, "HAProxy refuses: {says}");
    assert!(says.contains("api/cp3") && says.contains("disabling server"), "no warning: {says}");
}

#[test]
fn the_check_notices_a_broken_file() {
    let (ok, says) = check(&render(&proxy()).replace("mode tcp", "mode carrier-pigeon"));
    assert!(!ok, "HAProxy accepted nonsense: {says}");
}
