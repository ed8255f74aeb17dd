//! Bootstrap tokens.

use rand::RngExt as _;

use super::config::duration;
use super::{admin, trace};
use crate::cluster::{Token, pki};
use crate::tools::{Cx, Opts, Status, rfc3339};
use crate::world::State;

fn letters(n: usize) -> String {
    const SET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..n).map(|_| SET[rng.random_range(0..SET.len())] as char).collect()
}

/// A random id and secret.
pub(super) fn generate() -> (String, String) {
    (letters(6), letters(16))
}

/// Whether a text has the form of a token.
pub(super) fn is_token(text: &str) -> bool {
    let legal = |part: &str, n: usize| {
        part.len() == n && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(id, secret)| legal(id, 6) && legal(secret, 16))
}

/// Id and secret of a token.
pub(super) fn split(text: &str) -> (String, String) {
    let (id, secret) = text.split_once('.').unwrap_or((text, ""));
    (id.to_owned(), secret.to_owned())
}

/// A token as kubeadm makes them; `ttl` in milliseconds from when it is added.
pub(super) fn bootstrap(id: &str, secret: &str, ttl: Option<i64>, description: &str) -> Token {
    Token {
        id: id.to_owned(),
        secret: secret.to_owned(),
        expires: ttl,
        usages: "authentication,signing".to_owned(),
        description: description.to_owned(),
        groups: "system:bootstrappers:kubeadm:default-node-token".to_owned(),
    }
}

/// Stores a token whose `expires` is still a time to live.
pub(super) fn add(s: &mut State, cluster: &str, mut token: Token) {
    let now = s.now();
    token.expires = token.expires.map(|ttl| now + ttl);
    if let Some(cluster) = s.clusters.get_mut(cluster) {
        cluster.tokens.retain(|t| t.id != token.id);
        cluster.tokens.push(token);
    }
}

pub(super) fn create(cx: &mut Cx<'_>, opts: &Opts, token: Option<&str>) -> Status {
    let access = admin(cx, opts)?;
    let (id, secret) = match token {
        None => generate(),
        Some(text) if is_token(text) => split(text),
        Some(text) => {
            return Err(trace(
                cx,
                &format!(
                    "the bootstrap token \"{text}\" was not of the form \"\\\\A([a-z0-9]{{6}})\\\\.([a-z0-9]{{16}})\\\\z\""
                ),
            ));
        }
    };
    let text = opts.value(&["ttl"]).unwrap_or("24h0m0s").to_owned();
    let Some(ttl) = duration(&text) else {
        return Err(trace(
            cx,
            &format!("invalid argument \"{text}\" for \"--ttl\" flag: time: invalid duration \"{text}\""),
        ));
    };
    let known =
        cx.sh.state(|s| s.clusters.get(&access.cluster).is_some_and(|c| c.tokens.iter().any(|t| t.id == id)));
    if known {
        return Err(trace(cx, &format!("a token with id \"{id}\" already exists")));
    }
    let mut made = bootstrap(&id, &secret, ttl, opts.value(&["description"]).unwrap_or_default());
    if let Some(usages) = opts.value(&["usages"]) {
        made.usages = usages.to_owned();
    }
    cx.sh.state(|s| add(s, &access.cluster, made));
    if !opts.has(&["print-join-command"]) {
        cx.out(format!("{id}.{secret}\n"));
        return Ok(0);
    }
    let (endpoint, hash) = cx.sh.state(|s| {
        let cluster = s.clusters.get(&access.cluster);
        (
            cluster.map(|c| c.public_endpoint()).unwrap_or_default(),
            cluster.and_then(|c| pki::ca_hash(&c.ca)).unwrap_or_default(),
        )
    });
    let mut line =
        format!("kubeadm join {endpoint} --token {id}.{secret} --discovery-token-ca-cert-hash {hash} ");
    if let Some(key) = opts.value(&["certificate-key"]) {
        line.push_str(&format!("--control-plane --certificate-key {key}"));
    }
    cx.out(format!("{line}\n"));
    Ok(0)
}

pub(super) fn list(cx: &mut Cx<'_>, opts: &Opts) -> Status {
    let access = admin(cx, opts)?;
    let (tokens, now) = cx.sh.state(|s| {
        let now = s.now();
        (s.clusters.get(&access.cluster).map(|c| c.tokens.clone()).unwrap_or_default(), now)
    });
    if opts.value(&["o", "output"]) == Some("json") {
        for t in &tokens {
            let value = serde_json::json!({"kind": "BootstrapToken", "apiVersion": "output.kubeadm.k8s.io/v1alpha3", "token": format!("{}.{}", t.id, t.secret),
                "description": t.description, "expires": t.expires.map(rfc3339), "usages": t.usages.split(',').collect::<Vec<_>>(), "groups": [t.groups]});
            cx.out(format!("{value:#}\n"));
        }
        return Ok(0);
    }
    if !tokens.is_empty() {
        cx.out("TOKEN                     TTL         EXPIRES                USAGES                   DESCRIPTION                                                EXTRA GROUPS\n");
    }
    for t in tokens {
        let left = t.expires.map_or("<forever>".to_owned(), |e| short((e - now).max(0) / 1000));
        let expires = t.expires.map_or("<never>".to_owned(), rfc3339);
        let description = if t.description.is_empty() { "<none>" } else { &t.description };
        cx.out(format!(
            "{}.{:<16}   {left:<11} {expires:<22} {:<24} {description:<58} {}\n",
            t.id, t.secret, t.usages, t.groups
        ));
    }
    Ok(0)
}

/// `23h`, `14m`, `5s`
pub(crate) fn short(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

pub(super) fn delete(cx: &mut Cx<'_>, opts: &Opts, ids: &[&str]) -> Status {
    if ids.is_empty() {
        return Err(trace(
            cx,
            "missing argument; 'token delete' is missing token of form \"^([a-z0-9]{6})$\"",
        ));
    }
    let access = admin(cx, opts)?;
    for id in ids {
        let id = id.split('.').next().unwrap_or_default();
        if id.len() != 6 {
            return Err(trace(
                cx,
                &format!(
                    "given token didn't match pattern \"^([a-z0-9]{{6}})$\" or \"^([a-z0-9]{{6}})\\\\.([a-z0-9]{{16}})$\": {id}"
                ),
            ));
        }
        let found = cx.sh.state(|s| {
            let cluster = s.clusters.get_mut(&access.cluster)?;
            let before = cluster.tokens.len();
            cluster.forget_token(id);
            let gone = before != cluster.tokens.len();
            cluster.clean_tokens(i64::MIN);
            Some(gone)
        });
        if found != Some(true) {
            return Err(trace(
                cx,
                &format!(
                    "failed to delete bootstrap token \"{id}\": secrets \"bootstrap-token-{id}\" not found"
                ),
            ));
        }
        cx.out(format!("bootstrap token \"{id}\" deleted\n"));
    }
    Ok(0)
}
