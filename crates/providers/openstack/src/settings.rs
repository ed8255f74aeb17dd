//! The `provider` block, `clouds.yaml` and `OS_*`: where the cloud is and who asks.
//!
//! An argument of the block comes first; then what the named entry of `clouds.yaml` (with `secure.yaml` over it) says; then the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use grappe_http::Options;
use grappe_provider::Fault;
use grappe_value::{Attribute, Schema, Type};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use url::Url;
use zeroize::Zeroizing;

use crate::clouds;

/// A string that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself, for a request.
    #[must_use]
    pub(crate) fn open(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What the `provider` block says, with all values as text.
#[derive(Clone, Default, Deserialize)]
pub struct Config {
    #[serde(default)]
    endpoint_overrides: BTreeMap<String, String>,
    insecure: Option<bool>,
    system_scope: Option<bool>,
    allow_reauth: Option<bool>,
    #[serde(flatten)]
    text: BTreeMap<String, Json>,
}

/// Arguments of the block with the environment's names for them, the key in `clouds.yaml` (`auth.` for those of its `auth` part) and what they are.
const TEXT: &[(&str, &[&str], &str, &str)] = &[
    ("auth_url", &["OS_AUTH_URL"], "auth.auth_url", "The address of Keystone."),
    ("cloud", &["OS_CLOUD"], "", "The entry of `clouds.yaml` to use."),
    (
        "region",
        &["OS_REGION_NAME"],
        "region_name",
        "The region. Where the cloud has one only, it may be left out.",
    ),
    ("user_name", &["OS_USERNAME"], "auth.username", "Who logs in."),
    ("user_id", &["OS_USER_ID"], "auth.user_id", "Who logs in, by id."),
    ("tenant_id", &["OS_TENANT_ID", "OS_PROJECT_ID"], "auth.project_id", "The project, by id."),
    ("tenant_name", &["OS_TENANT_NAME", "OS_PROJECT_NAME"], "auth.project_name", "The project."),
    (
        "password",
        &["OS_PASSWORD"],
        "auth.password",
        "The password. Better is a token for the time of the run, or an application credential.",
    ),
    (
        "token",
        &["OS_TOKEN", "OS_AUTH_TOKEN"],
        "auth.token",
        "A token (`openstack token issue`): nothing that lasts is given away.",
    ),
    (
        "application_credential_id",
        &["OS_APPLICATION_CREDENTIAL_ID"],
        "auth.application_credential_id",
        "An application credential, by id.",
    ),
    (
        "application_credential_name",
        &["OS_APPLICATION_CREDENTIAL_NAME"],
        "auth.application_credential_name",
        "An application credential, by name; with its user.",
    ),
    (
        "application_credential_secret",
        &["OS_APPLICATION_CREDENTIAL_SECRET"],
        "auth.application_credential_secret",
        "The secret of the application credential.",
    ),
    ("user_domain_name", &["OS_USER_DOMAIN_NAME"], "auth.user_domain_name", "The domain of the user."),
    ("user_domain_id", &["OS_USER_DOMAIN_ID"], "auth.user_domain_id", "The domain of the user, by id."),
    (
        "project_domain_name",
        &["OS_PROJECT_DOMAIN_NAME"],
        "auth.project_domain_name",
        "The domain of the project.",
    ),
    (
        "project_domain_id",
        &["OS_PROJECT_DOMAIN_ID"],
        "auth.project_domain_id",
        "The domain of the project, by id.",
    ),
    ("domain_id", &["OS_DOMAIN_ID"], "auth.domain_id", "The domain to work on, by id, instead of a project."),
    ("domain_name", &["OS_DOMAIN_NAME"], "auth.domain_name", "The domain to work on instead of a project."),
    (
        "default_domain",
        &["OS_DEFAULT_DOMAIN"],
        "auth.default_domain",
        "The id of the domain where none is named. `default` otherwise.",
    ),
    (
        "endpoint_type",
        &["OS_ENDPOINT_TYPE", "OS_INTERFACE"],
        "interface",
        "Which addresses of the catalog are used: `public`, `internal` or `admin`.",
    ),
    (
        "cacert_file",
        &["OS_CACERT"],
        "cacert",
        "The certificate of the cloud's authority: a file, or the PEM text itself.",
    ),
    ("cert", &["OS_CERT"], "cert", "A client certificate: a file, or the PEM text itself."),
    ("key", &["OS_KEY"], "key", "The key of the client certificate: a file, or the PEM text itself."),
];

const SECRETS: &[&str] = &["password", "token", "application_credential_secret", "key"];

/// The schema of the `provider` block.
pub(crate) fn schema() -> Schema {
    let schema = TEXT.iter().fold(Schema::new("An OpenStack cloud."), |schema, (name, _, _, description)| {
        let attribute = Attribute::optional(Type::String, description);
        schema.attr(name, if SECRETS.contains(name) { attribute.sensitive() } else { attribute })
    });
    let flag = |description| Attribute::optional(Type::Bool, description);
    schema
        .attr("insecure", flag("Whether any certificate is taken (`OS_INSECURE`). Whoever is in between can read and change everything then."))
        .attr("system_scope", flag("Whether to work on the system instead of a project (`OS_SYSTEM_SCOPE`)."))
        .attr("allow_reauth", flag("Whether to log in again when the token ends before the run does. True by default."))
        .attr("delayed_auth", flag("Accepted and of no effect: the first request logs in."))
        .attr("disable_no_cache_header", flag("Accepted and of no effect."))
        .attr("enable_logging", flag("Accepted and of no effect: GRAPPE_LOG=debug shows requests, without headers and bodies."))
        .attr("max_retries", Attribute::optional(Type::Number, "Accepted and of no effect: what may pass is tried again anyway."))
        .attr(
            "endpoint_overrides",
            Attribute::optional(Type::map(Type::String), "Addresses of services by type (`network`, `compute`, `volumev3`, `octavia`, …), to use instead of the catalog's."),
        )
}

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Login {
    Token(Secret),
    Password { user: Json, password: Secret },
    Application { which: Json, secret: Secret },
}

/// All that is needed to ask.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Ends in `/v3`.
    pub(crate) auth_url: Url,
    pub(crate) login: Login,
    pub(crate) scope: Option<Json>,
    pub(crate) region: Option<String>,
    pub(crate) interface: String,
    pub(crate) overrides: BTreeMap<String, String>,
    pub(crate) reauth: bool,
    pub(crate) http: Options,
}

/// Where values come from, in their order.
struct Sources<'a> {
    config: &'a Config,
    cloud: Map<String, Json>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Sources<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let (_, env, key, _) = TEXT.iter().find(|(n, ..)| *n == name)?;
        let own = self.config.text.get(name).and_then(Json::as_str).map(str::to_owned);
        own.filter(|t| !t.is_empty())
            .or_else(|| self.in_cloud(key))
            .or_else(|| env.iter().find_map(|name| (self.env)(name)).filter(|t| !t.is_empty()))
    }

    fn in_cloud(&self, key: &str) -> Option<String> {
        let value = match key.split_once('.') {
            Some((part, key)) => self.cloud.get(part)?.get(key)?,
            None => self.cloud.get(key)?,
        };
        match value {
            Json::String(text) if !text.is_empty() => Some(text.clone()),
            // A project's id of digits only is no string in YAML.
            Json::Number(n) => Some(n.to_string()),
            _ => None,
        }
    }

    fn flag(&self, own: Option<bool>, key: &str, env: &str) -> Option<bool> {
        own.or_else(|| self.cloud.get(key).and_then(Json::as_bool)).or_else(|| {
            let text = (self.env)(env)?;
            Some(matches!(text.to_lowercase().as_str(), "1" | "true" | "yes" | "t"))
        })
    }
}

impl Settings {
    /// Puts them together.
    ///
    /// # Errors
    /// What is missing or can't be read.
    pub(crate) fn new(
        config: &Config,
        plan_dir: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let bare = Sources { config, cloud: Map::new(), env };
        let cloud = match bare.text("cloud") {
            Some(name) => clouds::entry(&name, plan_dir, env)?,
            None => Map::new(),
        };
        let from = Sources { config, cloud, env };
        let Some(auth_url) = from.text("auth_url") else {
            return Err(Fault::permanent("the provider does not know where the cloud is")
                .hint("set auth_url or cloud in the provider block, or OS_AUTH_URL or OS_CLOUD in the environment")
                .attribute("auth_url"));
        };
        let mut http = Options {
            insecure: from
                .flag(config.insecure, "insecure", "OS_INSECURE")
                .unwrap_or(from.cloud.get("verify").and_then(Json::as_bool) == Some(false)),
            ..Options::default()
        };
        if let Some(pem) = from.text("cacert_file") {
            http.authorities.push(pem_or_file(&pem, plan_dir, "cacert_file")?);
        }
        if let (Some(cert), Some(key)) = (from.text("cert"), from.text("key")) {
            let mut pem = pem_or_file(&cert, plan_dir, "cert")?;
            pem.push(b'\n');
            pem.extend(pem_or_file(&key, plan_dir, "key")?);
            http.identity = Some(pem);
        }
        let interface = from.text("endpoint_type").unwrap_or_else(|| "public".into());
        Ok(Settings {
            auth_url: identity_url(&auth_url)?,
            login: login(&from)?,
            scope: scope(&from),
            region: from.text("region"),
            interface: interface.trim_end_matches("URL").to_owned(),
            overrides: config.endpoint_overrides.clone(),
            reauth: config.allow_reauth.unwrap_or(true),
            http,
        })
    }
}

fn identity_url(text: &str) -> Result<Url, Fault> {
    let wrong = || {
        Fault::permanent("auth_url is no address of Keystone")
            .hint("as in https://cloud.example.com:5000/v3")
            .attribute("auth_url")
    };
    let mut url: Url = text.parse().map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2.0").unwrap_or(path);
    let path = if path.ends_with("/v3") { path.to_owned() } else { format!("{path}/v3") };
    url.set_path(&path);
    Ok(url)
}

fn pem_or_file(text: &str, plan_dir: &Path, argument: &str) -> Result<Vec<u8>, Fault> {
    if text.contains("-----BEGIN ") {
        return Ok(text.as_bytes().to_vec());
    }
    let path: PathBuf = plan_dir.join(clouds::home(text));
    std::fs::read(&path).map_err(|e| {
        Fault::permanent(format!(
            "the file {} ({argument} of the provider) can't be read: {e}",
            path.display()
        ))
        .attribute(argument)
    })
}

fn domain(from: &Sources<'_>, id: &str, name: &str) -> Json {
    match (from.text(id), from.text(name)) {
        (Some(id), _) => json!({ "id": id }),
        (None, Some(name)) => json!({ "name": name }),
        _ => json!({ "id": from.text("default_domain").unwrap_or_else(|| "default".into()) }),
    }
}

fn user(from: &Sources<'_>) -> Option<Json> {
    match (from.text("user_id"), from.text("user_name")) {
        (Some(id), _) => Some(json!({ "id": id })),
        (None, Some(name)) => {
            Some(json!({ "name": name, "domain": domain(from, "user_domain_id", "user_domain_name") }))
        }
        _ => None,
    }
}

/// The credential that is there; where there are several, the one that gives least away.
fn login(from: &Sources<'_>) -> Result<Login, Fault> {
    let given =
        |name: &str| from.config.text.get(name).is_some_and(|v| v.as_str().is_some_and(|t| !t.is_empty()));
    let application = || -> Result<Option<Login>, Fault> {
        let Some(secret) = from.text("application_credential_secret") else { return Ok(None) };
        let which = match (from.text("application_credential_id"), from.text("application_credential_name")) {
            (Some(id), _) => json!({ "id": id }),
            (None, Some(name)) => {
                let user = user(from).ok_or_else(|| {
                    Fault::permanent("an application credential by name needs the user that it belongs to")
                        .hint("set user_id or user_name, or application_credential_id instead of the name")
                        .attribute("application_credential_name")
                })?;
                json!({ "name": name, "user": user })
            }
            _ => return Ok(None),
        };
        Ok(Some(Login::Application { which, secret: secret.into() }))
    };
    let password = || {
        let password = from.text("password")?;
        Some(Login::Password { user: user(from)?, password: password.into() })
    };
    let token = || from.text("token").map(|t| Login::Token(t.into()));
    // What the block itself says comes before what lies around in the environment.
    let found = if given("password") && !given("token") {
        password()
    } else {
        match token() {
            Some(token) => Some(token),
            None => application()?.or_else(password),
        }
    };
    found.ok_or_else(|| {
        Fault::permanent("the provider has nothing to log in with")
            .hint("give a token, an application credential (id and secret) or a user with a password: in the provider block, in clouds.yaml, or as OS_* in the environment")
    })
}

fn scope(from: &Sources<'_>) -> Option<Json> {
    if from.flag(from.config.system_scope, "system_scope", "OS_SYSTEM_SCOPE") == Some(true) {
        return Some(json!({ "system": { "all": true } }));
    }
    if let Some(id) = from.text("tenant_id") {
        return Some(json!({ "project": { "id": id } }));
    }
    if let Some(name) = from.text("tenant_name") {
        let domain = domain(from, "project_domain_id", "project_domain_name");
        return Some(json!({ "project": { "name": name, "domain": domain } }));
    }
    match (from.text("domain_id"), from.text("domain_name")) {
        (Some(id), _) => Some(json!({ "domain": { "id": id } })),
        (None, Some(name)) => Some(json!({ "domain": { "name": name } })),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
