//! `tls_private_key`: a key pair that lives in the state, sealed.
//!
//! `ecdsa_curve` is P256 where nothing is said: Terraform's default, P224, is one that SSH does not have.

use grappe_provider::{Context, EphemeralResource, Fault, Importable, Opened, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use ssh_key::{HashAlg, LineEnding, PublicKey};

use super::hex;
use super::pem::{Algorithm, Error, Texts, generate};

/// `tls_private_key`.
pub(super) struct PrivateKey;

#[derive(Deserialize)]
pub(super) struct Args {
    algorithm: String,
    ecdsa_curve: String,
    rsa_bits: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    private_key_pem: String,
    private_key_pem_pkcs8: String,
    private_key_openssh: String,
    public_key_pem: String,
    public_key_openssh: String,
    public_key_fingerprint_md5: String,
    public_key_fingerprint_sha256: String,
}

impl Resource for PrivateKey {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "tls_private_key"
    }

    fn schema(&self) -> Schema {
        schema("A key pair, for SSH or TLS. The private key is kept in the state, sealed.")
            .attr("id", Attribute::computed(Type::String, "The SHA-1 of the public key in PEM."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        validate(config)
    }

    fn reads(&self) -> bool {
        false
    }

    async fn read(&self, _: &Context<()>, state: State) -> Result<Option<State>, Fault> {
        Ok(Some(state))
    }

    /// Terraform stores a curve for RSA keys too, and its default is one that is not offered here.
    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        let text = |name| stored.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("algorithm") != "ECDSA" {
            return Ok(stored.with_attr("ecdsa_curve", "P256".into()));
        }
        match parse("ECDSA", text("ecdsa_curve"), 0) {
            Ok(_) => Ok(stored),
            Err(problem) => Err(problem.message),
        }
    }

    fn importable(&self) -> Importable {
        Importable::Not(
            "the key is nowhere but in the state that it was made in (see `grappe state import-terraform`)",
        )
    }

    async fn create(&self, ctx: &Context<()>, args: Args) -> Result<State, Fault> {
        make(ctx, args).await
    }

    async fn delete(&self, _: &Context<()>, _: State) -> Result<(), Fault> {
        Ok(())
    }
}

/// `ephemeral "tls_private_key"`: another one each time that it is opened, in no plan and no state.
pub(super) struct Ephemeral;

impl EphemeralResource for Ephemeral {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "tls_private_key"
    }

    fn schema(&self) -> Schema {
        schema(
            "A key pair that is stored nowhere: another one each time that it is made, while planning and while applying.",
        )
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        validate(config)
    }

    async fn open(&self, ctx: &Context<()>, args: Args) -> Result<Opened<State>, Fault> {
        make(ctx, args).await.map(Opened::lasting)
    }
}

/// What both kinds of key have.
fn schema(description: &'static str) -> Schema {
    let secret = |description| Attribute::computed(Type::String, description).sensitive();
    let shown = |description| Attribute::computed(Type::String, description);
    Schema::new(description)
        .attr("algorithm", Attribute::required(Type::String, "RSA, ECDSA or ED25519.").replace())
        .attr(
            "ecdsa_curve",
            Attribute::optional(Type::String, "P256, P384 or P521.").default("P256").replace(),
        )
        .attr("rsa_bits", Attribute::optional(Type::Number, "From 2048 to 8192.").default(2048).replace())
        .attr("private_key_pem", secret("The private key: PKCS #1 (RSA), SEC 1 (ECDSA), PKCS #8 (ED25519)."))
        .attr("private_key_pem_pkcs8", secret("The private key in PKCS #8."))
        .attr("private_key_openssh", secret("The private key as OpenSSH writes it."))
        .attr("public_key_pem", shown("The public key in PEM."))
        .attr("public_key_openssh", shown("The public key as a line of authorized_keys."))
        .attr("public_key_fingerprint_md5", shown("The public key's MD5 as old SSH shows it."))
        .attr("public_key_fingerprint_sha256", shown("The public key's SHA-256 as SSH shows it."))
}

fn validate(config: &Value) -> Vec<Problem> {
    let text = |name| config.get(name).and_then(Value::as_str);
    let bits = config.get("rsa_bits").and_then(Value::as_number).and_then(grappe_value::Number::as_i64);
    let Some(algorithm) = text("algorithm") else { return Vec::new() };
    parse(algorithm, text("ecdsa_curve").unwrap_or("P256"), bits.unwrap_or(2048)).err().into_iter().collect()
}

async fn make(ctx: &Context<()>, args: Args) -> Result<State, Fault> {
    let algorithm = parse(&args.algorithm, &args.ecdsa_curve, args.rsa_bits).map_err(|p| {
        let fault = Fault::permanent(p.message);
        match p.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    })?;
    ctx.progress("generating a key");
    let made = tokio::task::spawn_blocking(move || generate(algorithm).and_then(|texts| written(&texts)));
    match made.await {
        Ok(Ok(state)) => Ok(state),
        Ok(Err(error)) => Err(Fault::permanent("the key can't be generated").source(error)),
        Err(error) => Err(Fault::permanent("the generation of the key was cut off").source(error)),
    }
}

fn parse(algorithm: &str, curve: &str, bits: i64) -> Result<Algorithm, Problem> {
    match (algorithm, curve) {
        ("ED25519", _) => Ok(Algorithm::Ed25519),
        ("ECDSA", "P256") => Ok(Algorithm::P256),
        ("ECDSA", "P384") => Ok(Algorithm::P384),
        ("ECDSA", "P521") => Ok(Algorithm::P521),
        ("ECDSA", other) => Err(Problem::new("ecdsa_curve", format!("the curve {other:?} is not offered"))
            .hint("use P256, P384 or P521")),
        ("RSA", _) => match usize::try_from(bits) {
            Ok(bits) if (2048..=8192).contains(&bits) => Ok(Algorithm::Rsa(bits)),
            _ => Err(Problem::new("rsa_bits", format!("rsa_bits is {bits}; it must be from 2048 to 8192"))),
        },
        (other, _) => Err(Problem::new("algorithm", format!("the algorithm {other:?} is not known"))
            .hint("use ED25519, ECDSA or RSA, in capitals")),
    }
}

fn written(texts: &Texts) -> Result<State, Error> {
    let pair = ssh_key::PrivateKey::new(texts.pair.clone(), "")?;
    let public: &PublicKey = pair.public_key();
    let md5 = md5::compute(public.to_bytes()?);
    Ok(State {
        id: hex(&Sha1::digest(&texts.public)),
        private_key_pem: texts.private.clone(),
        private_key_pem_pkcs8: texts.private_pkcs8.clone(),
        private_key_openssh: pair.to_openssh(LineEnding::LF)?.to_string(),
        public_key_pem: texts.public.clone(),
        public_key_openssh: format!("{}\n", public.to_openssh()?.trim_end()),
        public_key_fingerprint_md5: md5.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
        public_key_fingerprint_sha256: public.fingerprint(HashAlg::Sha256).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use crate::tls::Tls;

    fn make(given: &[(&'static str, Value)]) -> Value {
        Bench::new(Tls).create("tls_private_key", &Value::object(given.iter().cloned()))
    }

    fn check(made: &Value, pem: &str, ssh: &str) {
        let text = |name: &str| made.get(name).unwrap().as_str().unwrap();
        assert!(text("private_key_pem").starts_with(&format!("-----BEGIN {pem}-----\n")));
        assert!(text("private_key_pem").ends_with(&format!("\n-----END {pem}-----\n")));
        assert!(text("private_key_pem_pkcs8").starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(text("public_key_pem").starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(text("public_key_openssh").starts_with(ssh) && text("public_key_openssh").ends_with('\n'));
        let read = ssh_key::PrivateKey::from_openssh(text("private_key_openssh")).unwrap();
        let public = PublicKey::from_openssh(text("public_key_openssh").trim()).unwrap();
        assert_eq!(read.public_key().key_data(), public.key_data(), "they are one pair");
        assert_eq!(text("public_key_fingerprint_md5").len(), 47);
        for name in ["private_key_pem", "private_key_pem_pkcs8", "private_key_openssh"] {
            assert!(made.get(name).unwrap().is_sensitive_deep(), "{name}");
        }
        assert!(!format!("{made:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn ed25519() {
        let made = make(&[("algorithm", "ED25519".into())]);
        check(&made, "PRIVATE KEY", "ssh-ed25519 ");
        assert_ne!(made, make(&[("algorithm", "ED25519".into())]));
    }

    #[test]
    fn ecdsa() {
        for (curve, ssh) in [
            ("P256", "ecdsa-sha2-nistp256 "),
            ("P384", "ecdsa-sha2-nistp384 "),
            ("P521", "ecdsa-sha2-nistp521 "),
        ] {
            let made = make(&[("algorithm", "ECDSA".into()), ("ecdsa_curve", curve.into())]);
            check(&made, "EC PRIVATE KEY", ssh);
        }
    }

    #[test]
    fn rsa() {
        check(&make(&[("algorithm", "RSA".into())]), "RSA PRIVATE KEY", "ssh-rsa ");
    }

    /// The PEM texts and the SSH texts are of one key: an independent reader (ssh-keygen, openssl) says so.
    #[test]
    fn other_programs_read_them() {
        let dir = tempfile::tempdir().unwrap();
        for algorithm in ["ED25519", "ECDSA"] {
            let made = make(&[("algorithm", algorithm.into())]);
            let text = |name: &str| made.get(name).unwrap().as_str().unwrap();
            for name in ["private_key_pem_pkcs8", "private_key_openssh"] {
                let file = dir.path().join(format!("{algorithm}-{name}"));
                crate::testing::private_file(&file, text(name).as_bytes());
                let run = std::process::Command::new("ssh-keygen").arg("-yf").arg(&file).output().unwrap();
                // ssh-keygen reads PKCS #8 of ECDSA, not of Ed25519.
                if !(algorithm == "ED25519" && name == "private_key_pem_pkcs8") {
                    assert_eq!(
                        String::from_utf8_lossy(&run.stdout).trim(),
                        text("public_key_openssh").trim(),
                        "{}",
                        String::from_utf8_lossy(&run.stderr)
                    );
                }
            }
            let file = dir.path().join(format!("{algorithm}.pem"));
            crate::testing::private_file(&file, text("private_key_pem").as_bytes());
            let run = std::process::Command::new("openssl")
                .args(["pkey", "-pubout", "-in"])
                .arg(&file)
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&run.stdout),
                text("public_key_pem"),
                "{}",
                String::from_utf8_lossy(&run.stderr)
            );
        }
    }

    #[test]
    fn what_is_not_offered_is_said_while_planning() {
        let bench = Bench::new(Tls);
        for (given, blamed) in [
            (vec![("algorithm", Value::from("DSA"))], "algorithm"),
            (vec![("algorithm", "ECDSA".into()), ("ecdsa_curve", "P224".into())], "ecdsa_curve"),
            (vec![("algorithm", "RSA".into()), ("rsa_bits", 1024.into())], "rsa_bits"),
        ] {
            let config = bench.config("tls_private_key", &Value::object(given));
            let problems = bench.resource("tls_private_key").validate(&config);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].attribute.to_string(), blamed);
        }
    }
}
