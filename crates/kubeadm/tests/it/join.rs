//! The CA hash is the one that OpenSSL computes.

use std::process::Command;

use grappe_kubeadm::join::ca_cert_hash;

/// Runs a line of shell and returns what it wrote.
fn shell(script: &str, dir: &std::path::Path) -> String {
    let output = Command::new("sh").arg("-ec").arg(script).current_dir(dir).output().expect("sh runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors} (this test needs openssl: apt-get install openssl)");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_ca_hash_is_openssls_for_every_kind_of_key() {
    for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256", "ed25519"] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let make = format!(
            "openssl req -x509 -newkey {key} -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=kubernetes 2>err || {{ cat err >&2; exit 1; }}; cat ca.crt"
        );
        let pem = shell(&make, dir.path());
        // The pipeline of kubeadm's manual, for any kind of key.
        let expected = shell(
            "openssl x509 -pubkey -noout < ca.crt | openssl pkey -pubin -outform der | openssl dgst -sha256 -r | cut -d' ' -f1",
            dir.path(),
        );
        let hash = ca_cert_hash(&pem).expect("a certificate");
        assert_eq!(hash, format!("sha256:{}", expected.trim()), "{key}");
        // Text before the certificate (`openssl x509 -text`) and Windows line ends change nothing.
        let messy = format!("Certificate:\n    Data:\n{}", pem.replace('\n', "\r\n"));
        assert_eq!(ca_cert_hash(&messy), Ok(hash));
    }
}
