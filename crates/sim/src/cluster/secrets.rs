//! Bootstrap tokens and uploaded certificates as the Secrets that they are, and the tokens' signatures in cluster-info.
//!
//! Source: docs of bootstrap tokens (`bootstrap.kubernetes.io/token`), cmd/kubeadm/app/phases/copycerts. What is sealed in a real cluster
//! (the uploaded certificates, the signatures) is a digest here: it changes when it should, and nobody opens it.

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::kinds::known;
use super::{Cluster, Token};
use crate::tools::rfc3339;

const PREFIX: &str = "bootstrap-token-";
/// The certificates' name.
const CERTS: &str = "kubeadm-certs";

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn digest(text: &str) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(text))
}

fn secret(token: &Token) -> Value {
    let mut data = Map::new();
    let mut put = |name: &str, value: &str| drop(data.insert(name.to_owned(), base64(value).into()));
    put("token-id", &token.id);
    put("token-secret", &token.secret);
    for usage in ["authentication", "signing"] {
        if token.usages.split(',').any(|u| u == usage) {
            put(&format!("usage-bootstrap-{usage}"), "true");
        }
    }
    if let Some(end) = token.expires {
        put("expiration", &rfc3339(end));
    }
    for (name, value) in [("description", &token.description), ("auth-extra-groups", &token.groups)] {
        if !value.is_empty() && value != "<none>" {
            put(name, value);
        }
    }
    json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token", "metadata": {}, "data": data})
}

impl Cluster {
    /// Forgets a token and its Secret.
    pub(crate) fn forget_token(&mut self, id: &str) {
        self.tokens.retain(|t| t.id != id);
        self.objects.remove("Secret", "kube-system", &format!("{PREFIX}{id}"));
    }

    /// A Secret was deleted behind kubeadm's back: what it stood for is gone too.
    pub(crate) fn secret_deleted(&mut self, namespace: &str, name: &str) {
        if namespace != "kube-system" {
            return;
        }
        if name == CERTS {
            self.certs = None;
        } else if let Some(id) = name.strip_prefix(PREFIX) {
            self.tokens.retain(|t| t.id != id);
        }
    }

    /// Writes the Secrets and signatures of what there is. A token's Secret that somebody else wrote stays, and lets nobody in.
    pub(super) fn show_secrets(&mut self, now: i64) {
        for token in self.tokens.clone() {
            let name = format!("{PREFIX}{}", token.id);
            let wanted = secret(&token);
            if self.objects.get("Secret", "kube-system", &name).is_none_or(|s| s["data"] != wanted["data"]) {
                self.store(&known("Secret"), "kube-system", &name, wanted, now);
            }
        }
        self.show_certs(now);
        self.sign();
    }

    fn show_certs(&mut self, now: i64) {
        let Some(certs) = &self.certs else {
            self.objects.remove("Secret", "kube-system", CERTS);
            return;
        };
        let sealed = |(name, text): (&String, &String)| {
            (name.replace('/', "-"), Value::from(base64(&digest(&format!("{}{text}", certs.key)))))
        };
        let data: Map<String, Value> = certs.files.iter().map(sealed).collect();
        let data = Value::Object(data);
        if self.objects.get("Secret", "kube-system", CERTS).is_some_and(|s| s["data"] == data) {
            return;
        }
        let owner = format!("{PREFIX}{}", certs.token);
        let uid = self.objects.get("Secret", "kube-system", &owner).map(|o| o["metadata"]["uid"].clone());
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
            "metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": owner, "uid": uid, "controller": true, "blockOwnerDeletion": true}]},
        });
        self.store(&known("Secret"), "kube-system", CERTS, object, now);
    }

    /// `jws-kubeconfig-ID` in cluster-info: with it whoever holds the token knows that the text is the cluster's.
    fn sign(&mut self) {
        let Some(info) = self.objects.get("ConfigMap", "kube-public", "cluster-info") else { return };
        let Some(old) = info["data"].as_object() else { return };
        let text = old.get("kubeconfig").and_then(Value::as_str).unwrap_or_default();
        let mut data: Map<String, Value> = old
            .iter()
            .filter(|(n, _)| !n.starts_with("jws-kubeconfig-"))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        for token in self.tokens.iter().filter(|t| t.usages.split(',').any(|u| u == "signing")) {
            let head = json!({"alg": "HS256", "kid": token.id}).to_string();
            let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(head);
            let signature = digest(&format!("{}{head}{text}", token.secret));
            data.insert(format!("jws-kubeconfig-{}", token.id), format!("{head}..{signature}").into());
        }
        if *old != data {
            let revision = self.next_revision();
            if let Some(info) = self.objects.get_mut("ConfigMap", "kube-public", "cluster-info") {
                info["data"] = Value::Object(data);
                info["metadata"]["resourceVersion"] = revision.into();
            }
        }
    }
}
