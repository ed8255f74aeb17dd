//! Logging in: the key file, then the agent.

use crate::endpoint::Endpoint;
use crate::error::{Cause, KeyFileProblem, SshError};
use russh::client::{AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, decode_secret_key};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// A key file as far as it can be used.
enum FileKey {
    Plain(Arc<PrivateKey>),
    /// Needs a passphrase. Its public half is in the clear in OpenSSH's format, so the agent can be asked for it.
    Encrypted(Option<PublicKey>),
}

/// Logs in on a fresh connection. `hung_up` tells what the server said when it closed the connection.
pub(crate) async fn login<H: Handler>(
    handle: &mut Handle<H>,
    endpoint: &Endpoint,
    agent_socket: Option<&Path>,
    hung_up: impl Fn() -> Option<String>,
) -> Result<(), SshError> {
    let mut offered = Vec::new();
    let mut encrypted = None;
    let mut keys = Vec::new();
    if let Some(text) = &endpoint.auth.private_key {
        let path = PathBuf::from("the private key that is given");
        let key = parse_key(text.expose()).map_err(|problem| Cause::KeyFile { path: path.clone(), problem });
        keys.push((path, key));
    }
    if let Some(path) = &endpoint.auth.private_key_file {
        keys.push((path.clone(), read_key_file(path).await));
    }
    for (path, key) in keys {
        match key.map_err(|cause| SshError::new(endpoint, cause))? {
            FileKey::Plain(key) => {
                let hash = rsa_hash(handle, &key.algorithm()).await;
                offered.push(describe(key.public_key()));
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let result = handle.authenticate_publickey(&endpoint.user, key).await;
                if verdict(result, endpoint, &offered, handle.is_closed(), &hung_up)? {
                    return Ok(());
                }
            }
            FileKey::Encrypted(public) => encrypted = Some((path, public)),
        }
    }
    if endpoint.auth.agent {
        let mut agent = connect_agent(endpoint, agent_socket).await?;
        if let Some(binding) = handle.agent_session_binding() {
            // Old agents do not know session-bind; only keys that are bound to destinations need it.
            let _ = agent.bind_session(binding, false).await;
        }
        let mut identities = agent.request_identities().await.map_err(|error| {
            SshError::new(endpoint, Cause::Agent("it does not list its keys".into())).with_source(error)
        })?;
        if let Some((_, Some(public))) = &encrypted {
            // sshd gives up after MaxAuthTries keys: the one that was named goes first.
            identities.sort_by_key(|identity| identity.public_key().key_data() != public.key_data());
            if identities.iter().any(|identity| identity.public_key().key_data() == public.key_data()) {
                encrypted = None;
            }
        }
        for identity in identities {
            let public = identity.public_key().into_owned();
            let hash = rsa_hash(handle, &public.algorithm()).await;
            offered.push(format!("{} from the agent", describe(&public)));
            let result = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    handle.authenticate_publickey_with(&endpoint.user, key, hash, &mut agent).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    handle.authenticate_certificate_with(&endpoint.user, certificate, hash, &mut agent).await
                }
            };
            let result = match result {
                // The agent declined to sign (a confirmation was denied, a token is unplugged): try the next key.
                Err(russh::AgentAuthError::Key(error)) => {
                    tracing::debug!(%error, "the agent did not sign");
                    continue;
                }
                Err(russh::AgentAuthError::Send(_)) => Err(russh::Error::SendError),
                Ok(result) => Ok(result),
            };
            if verdict(result, endpoint, &offered, handle.is_closed(), &hung_up)? {
                return Ok(());
            }
        }
    }
    if let Some(password) = &endpoint.auth.password {
        offered.push("a password".to_owned());
        let result = handle.authenticate_password(&endpoint.user, password.expose()).await;
        if verdict(result, endpoint, &offered, handle.is_closed(), &hung_up)? {
            return Ok(());
        }
        // Many servers ask for it in their own words.
        if answer(handle, &endpoint.user, password.expose()).await {
            return Ok(());
        }
    }
    Err(SshError::new(
        endpoint,
        match encrypted {
            Some((path, _)) => Cause::KeyFile { path, problem: KeyFileProblem::Encrypted },
            None if !offered.is_empty() => refused(endpoint, &offered),
            None if endpoint.auth.agent => Cause::NoIdentity("the agent holds none".into()),
            None => Cause::NoIdentity("neither a key file nor the agent is set".into()),
        },
    ))
}

/// Gives a password to a server that asks for one (keyboard-interactive). Whether that let us in.
async fn answer<H: Handler>(handle: &mut Handle<H>, user: &str, password: &str) -> bool {
    let mut response = handle.authenticate_keyboard_interactive_start(user, None).await;
    // It may ask again, or say something first: more than a few rounds are no conversation.
    for _ in 0..4 {
        response = match response {
            Ok(KeyboardInteractiveAuthResponse::Success) => return true,
            Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => {
                let answers = prompts.iter().map(|_| password.to_owned()).collect();
                handle.authenticate_keyboard_interactive_respond(answers).await
            }
            Ok(KeyboardInteractiveAuthResponse::Failure { .. }) | Err(_) => return false,
        };
    }
    false
}

/// Whether we are in; `Err` when going on is pointless.
fn verdict(
    result: Result<AuthResult, russh::Error>,
    endpoint: &Endpoint,
    offered: &[String],
    closed: bool,
    hung_up: &impl Fn() -> Option<String>,
) -> Result<bool, SshError> {
    if matches!(result, Ok(AuthResult::Success)) {
        return Ok(true);
    }
    let message = hung_up();
    if !closed && message.is_none() && result.is_ok() {
        return Ok(false);
    }
    let too_many = message.as_ref().is_some_and(|text| text.contains("authentication failures"));
    let cause = if too_many { refused(endpoint, offered) } else { Cause::HungUp { message } };
    let error = SshError::new(endpoint, cause);
    Err(match result {
        Err(source) => error.with_source(source),
        Ok(_) => error,
    })
}

fn refused(endpoint: &Endpoint, offered: &[String]) -> Cause {
    Cause::AuthRefused { user: endpoint.user.clone(), offered: format!("offered {}", offered.join(", ")) }
}

fn describe(key: &PublicKey) -> String {
    crate::hostkey::fingerprint(key)
}

/// RSA keys sign with a hash of the server's choice.
async fn rsa_hash<H: Handler>(handle: &Handle<H>, algorithm: &Algorithm) -> Option<HashAlg> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    // Servers that do not say (older than OpenSSH 7.2) would want SHA-1; all others take SHA-512.
    handle.best_supported_rsa_hash().await.ok().flatten().unwrap_or(Some(HashAlg::Sha512))
}

async fn connect_agent(
    endpoint: &Endpoint,
    socket: Option<&Path>,
) -> Result<AgentClient<UnixStream>, SshError> {
    let bad = |why: String| SshError::new(endpoint, Cause::Agent(why));
    let socket = match socket {
        Some(path) => path.to_owned(),
        None => std::env::var_os("SSH_AUTH_SOCK")
            .map(PathBuf::from)
            .ok_or_else(|| bad("SSH_AUTH_SOCK is not set".into()))?,
    };
    let stream = UnixStream::connect(&socket)
        .await
        .map_err(|error| bad(format!("{} does not answer", socket.display())).with_source(error))?;
    Ok(AgentClient::connect(stream))
}

async fn read_key_file(path: &Path) -> Result<FileKey, Cause> {
    let path = match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    let bad = |problem| Cause::KeyFile { path: path.clone(), problem };
    let unreadable = |error: std::io::Error| bad(KeyFileProblem::Unreadable(error.to_string()));
    let metadata = tokio::fs::metadata(&path).await.map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(bad(KeyFileProblem::TooOpen(mode)));
        }
    }
    if !metadata.is_file() {
        return Err(bad(KeyFileProblem::Unreadable("not a file".into())));
    }
    let text = Zeroizing::new(tokio::fs::read_to_string(&path).await.map_err(unreadable)?);
    parse_key(&text).map_err(bad)
}

fn parse_key(text: &str) -> Result<FileKey, KeyFileProblem> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Ok(match key.is_encrypted() {
            true => FileKey::Encrypted(Some(key.public_key().clone())),
            false => FileKey::Plain(Arc::new(key)),
        });
    }
    // PEM says so in its header (PKCS#8) or in a line of its own (PKCS#1, SEC 1).
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Ok(FileKey::Encrypted(None));
    }
    match decode_secret_key(text, None) {
        Ok(key) => Ok(FileKey::Plain(Arc::new(key))),
        Err(russh::keys::Error::KeyIsEncrypted) => Ok(FileKey::Encrypted(None)),
        Err(error) => Err(KeyFileProblem::Unusable(error.to_string())),
    }
}
