//! Logging in: a token, and the catalog of services that comes with it.

use std::collections::BTreeSet;

use grappe_http::{Http, Method, Reply};
use grappe_provider::{Fault, FaultKind};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::settings::{Login, Secret, Settings};

/// What a login gives.
pub(crate) struct Session {
    pub(crate) token: Secret,
    pub(crate) body: Token,
}

/// What Keystone says of a token.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Token {
    #[serde(default)]
    catalog: Vec<Entry>,
    /// By the cloud's clock.
    #[serde(default)]
    pub(crate) issued_at: String,
    #[serde(default)]
    pub(crate) user: Json,
    #[serde(default)]
    pub(crate) project: Json,
    #[serde(default)]
    pub(crate) domain: Json,
    #[serde(default)]
    pub(crate) roles: Json,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    ty: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

impl Endpoint {
    fn is_in(&self, region: &str) -> bool {
        [&self.region, &self.region_id].into_iter().flatten().any(|r| r == region)
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

impl Session {
    /// The address of the first of these services that the catalog has.
    pub(crate) fn endpoint(
        &self,
        types: &[&str],
        region: Option<&str>,
        interface: &str,
    ) -> Result<String, Fault> {
        let entries = types.iter().filter_map(|ty| self.body.catalog.iter().find(|entry| entry.ty == *ty));
        let endpoints: Vec<&Endpoint> = entries.flat_map(|entry| &entry.endpoints).collect();
        if endpoints.is_empty() {
            return Err(Fault::permanent(format!("the cloud has no service of the type {:?} in the catalog of this project", types[0]))
                .hint("`openstack catalog list` shows what it has; endpoint_overrides in the provider block gives an address that is missing"));
        }
        let found = endpoints.iter().find(|e| e.interface == interface && region.is_none_or(|r| e.is_in(r)));
        found.map(|e| e.url.clone()).ok_or_else(|| {
            let has: BTreeSet<String> = endpoints
                .iter()
                .map(|e| format!("{} in {}", e.interface, e.region.as_deref().unwrap_or("no region")))
                .collect();
            Fault::permanent(format!(
                "the service {:?} has no {interface} address in the region {:?}",
                types[0],
                region.unwrap_or("")
            ))
            .hint(format!("it has: {}", has.into_iter().collect::<Vec<_>>().join(", ")))
            .attribute("region")
        })
    }
}

/// Logs in.
pub(crate) async fn log_in(http: &Http, settings: &Settings) -> Result<Session, Fault> {
    let (identity, secret) = match &settings.login {
        Login::Token(token) => {
            // A token that is for the right project already is used as it is: not every cloud lets it be exchanged.
            let body = validate(http, settings, token).await?;
            if settings.scope.as_ref().is_none_or(|scope| covers(&body, scope)) {
                return Ok(Session { token: token.clone(), body });
            }
            (json!({ "methods": ["token"], "token": { "id": token.open() } }), token)
        }
        Login::Password { user, password } => {
            let mut user = user.clone();
            user["password"] = password.open().into();
            (json!({ "methods": ["password"], "password": { "user": user } }), password)
        }
        Login::Application { which, secret } => {
            let mut which = which.clone();
            which["secret"] = secret.open().into();
            (json!({ "methods": ["application_credential"], "application_credential": which }), secret)
        }
    };
    let mut auth = json!({ "identity": identity });
    // An application credential is for its project, and says so itself.
    if let (Some(scope), false) = (&settings.scope, matches!(settings.login, Login::Application { .. })) {
        auth["scope"] = scope.clone();
    }
    let request =
        http.request(Method::POST, address(settings)).hide(secret.open()).json(json!({ "auth": auth }));
    let reply = request.send().await.map_err(|e| refused(e, settings))?;
    let token = reply.header("x-subject-token").map(|t| Secret::from(t.to_owned()));
    let token = token.ok_or_else(|| {
        Fault::permanent("Keystone gave no token: is auth_url right?").attribute("auth_url")
    })?;
    Ok(Session { token, body: read(&reply)? })
}

async fn validate(http: &Http, settings: &Settings, token: &Secret) -> Result<Token, Fault> {
    let request = http
        .request(Method::GET, address(settings))
        .secret_header("x-auth-token", token.open())
        .secret_header("x-subject-token", token.open());
    read(&request.send().await.map_err(|e| refused(e, settings))?)
}

fn address(settings: &Settings) -> url::Url {
    let mut url = settings.auth_url.clone();
    url.set_path(&format!("{}/auth/tokens", url.path()));
    url
}

fn read(reply: &Reply) -> Result<Token, Fault> {
    Ok(reply.json::<Answer>()?.token)
}

fn refused(error: grappe_http::HttpError, settings: &Settings) -> Fault {
    let status = error.status();
    let mut fault = Fault::from(error).context("the login failed");
    if fault.kind == FaultKind::Gone {
        fault.kind = FaultKind::Permanent;
    }
    match (status, &settings.login) {
        (Some(401 | 404), Login::Token(_)) => fault.hint(
            "the token has ended, was revoked, or is another cloud's: issue another (openstack token issue)",
        ),
        (Some(401), Login::Password { .. }) => fault.hint("check user, domain, password and project"),
        (Some(401), Login::Application { .. }) => {
            fault.hint("check id and secret of the application credential, and whether it has ended")
        }
        (Some(404), _) => fault.hint("there is no Keystone of version 3 at auth_url"),
        _ => fault,
    }
}

/// Whether a token is for what is asked for.
fn covers(token: &Token, scope: &Json) -> bool {
    let project = scope.get("project");
    match project {
        Some(project) => match (project.get("id"), project.get("name")) {
            (Some(id), _) => token.project.get("id") == Some(id),
            (None, Some(name)) => {
                let domain = project.get("domain");
                let same = |key: &str| {
                    domain
                        .and_then(|d| d.get(key))
                        .is_none_or(|v| token.project["domain"].get(key) == Some(v))
                };
                token.project.get("name") == Some(name) && same("id") && same("name")
            }
            _ => false,
        },
        None => match scope.get("domain") {
            Some(domain) => {
                let same = |key: &str| domain.get(key).is_some_and(|v| token.domain.get(key) == Some(v));
                same("id") || same("name")
            }
            None => false,
        },
    }
}
