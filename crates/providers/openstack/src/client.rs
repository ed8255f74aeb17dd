//! Asking the cloud's services: their addresses, the token, lists of any length, and errors in words that help.
//!
//! Nothing is asked before something is needed: the first request logs in. The token is in memory only. Where it ends before the run does (401), one task logs
//! in again and all others wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use grappe_http::{Http, HttpError, Kind, Method, Reply, Request};
use grappe_provider::{Fault, FaultKind};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;
use url::Url;

use crate::roll::Rolls;
use crate::session::{Session, log_in};
use crate::settings::{Login, Settings};

/// A service of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    Compute,
    Network,
    Image,
    Volume,
    LoadBalancer,
}

impl Service {
    /// Its types in catalogs (and among the overrides), the usual one first.
    fn types(self) -> &'static [&'static str] {
        match self {
            Service::Compute => &["compute"],
            Service::Network => &["network"],
            Service::Image => &["image"],
            Service::Volume => &["volumev3", "block-storage", "block-store", "volume"],
            Service::LoadBalancer => &["load-balancer", "octavia", "load_balancer"],
        }
    }

    /// What its addresses end in, where the catalog has only the beginning.
    fn version(self) -> &'static str {
        match self {
            Service::Network | Service::LoadBalancer => "v2.0",
            Service::Image => "v2",
            // Theirs may hold the project: they are taken as they are.
            Service::Compute | Service::Volume => "",
        }
    }
}

/// The cloud, as one `provider` block sees it.
pub struct Client {
    http: Http,
    /// The folder that relative paths start in.
    pub(crate) plan_dir: std::path::PathBuf,
    settings: Settings,
    session: Mutex<Option<Arc<Session>>>,
    pub(crate) rolls: Rolls,
    pub(crate) known: crate::compute::Flavors,
    /// Who changes something below a load balancer: one at a time.
    turns: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// A request to a service.
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) region: Option<&'a str>,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Json>,
    upload: Option<std::path::PathBuf>,
    hidden: Vec<String>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        method: Method,
        service: Service,
        region: Option<&'a str>,
        path: impl Into<String>,
    ) -> Self {
        Call {
            service,
            region,
            method,
            path: path.into(),
            query: vec![],
            headers: vec![],
            body: None,
            upload: None,
            hidden: vec![],
        }
    }

    pub(crate) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(crate) fn json(mut self, body: Json) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Blots this out where the answer quotes it.
    pub(crate) fn hide(&mut self, secret: Option<&str>) {
        self.hidden.extend(secret.map(str::to_owned));
    }

    /// A file as the body.
    pub(crate) fn upload(mut self, path: std::path::PathBuf) -> Self {
        self.upload = Some(path);
        self
    }

    /// Nova's microversion: the oldest that knows what is asked for, so that old clouds answer too.
    pub(crate) fn version(self, version: &str) -> Self {
        self.header("openstack-api-version", format!("compute {version}"))
            .header("x-openstack-nova-api-version", version)
    }
}

impl Client {
    pub(crate) fn new(settings: Settings, plan_dir: std::path::PathBuf) -> Result<Self, Fault> {
        let http = Http::new(&settings.http)?;
        Ok(Client {
            http,
            plan_dir,
            settings,
            session: Mutex::new(None),
            rolls: Rolls::default(),
            known: crate::compute::Flavors::default(),
            turns: std::sync::Mutex::default(),
        })
    }

    /// The region of an object: its own, or the provider's.
    pub(crate) fn region(&self, own: Option<&str>) -> Option<String> {
        own.filter(|r| !r.is_empty()).map(str::to_owned).or_else(|| self.settings.region.clone())
    }

    /// Where it logs in.
    pub(crate) fn auth_url(&self) -> &str {
        self.settings.auth_url.as_str()
    }

    /// Who asks, where, and with what: logged in at the first call.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Fault> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        let new = Arc::new(log_in(&self.http, &self.settings).await?);
        *session = Some(new.clone());
        Ok(new)
    }

    /// Logs in again, unless somebody else has since `old` was made.
    async fn session_after(&self, old: &Arc<Session>) -> Result<Arc<Session>, Fault> {
        let mut session = self.session.lock().await;
        if let Some(new) = session.as_ref().filter(|new| !Arc::ptr_eq(new, old)) {
            return Ok(new.clone());
        }
        if matches!(self.settings.login, Login::Token(_)) || !self.settings.reauth {
            return Err(Fault::permanent("the cloud does not take the token any more")
                .hint("it has ended or was revoked: issue another (openstack token issue), and run again; what was done is recorded"));
        }
        tracing::debug!("logging in again");
        let new = Arc::new(log_in(&self.http, &self.settings).await?);
        *session = Some(new.clone());
        Ok(new)
    }

    fn address(&self, session: &Session, call: &Call<'_>) -> Result<Url, Fault> {
        let service = call.service;
        let own = service.types().iter().find_map(|ty| self.settings.overrides.get(*ty));
        let base = match own {
            // An override may also be another type to look for.
            Some(own) if own.contains("://") => own.clone(),
            other => {
                let region = call.region.or(self.settings.region.as_deref());
                let types: Vec<&str> = other.map_or_else(|| service.types().to_vec(), |ty| vec![ty.as_str()]);
                session.endpoint(&types, region, &self.settings.interface)?
            }
        };
        let base = base.trim_end_matches('/');
        let version = service.version();
        let path = call.path.trim_start_matches('/');
        let text = match base.rsplit('/').next() {
            Some(last)
                if version.is_empty()
                    || last == version
                    || (last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit())) =>
            {
                format!("{base}/{path}")
            }
            _ => format!("{base}/{version}/{path}"),
        };
        text.parse()
            .map_err(|_| Fault::permanent(format!("the address {text} of {} is none", service.types()[0])))
    }

    fn request(&self, session: &Session, call: &Call<'_>, url: Url) -> Request {
        let mut request =
            self.http.request(call.method.clone(), url).secret_header("x-auth-token", session.token.open());
        for secret in &call.hidden {
            request = request.hide(secret);
        }
        for (name, value) in &call.query {
            request = request.query(name, value);
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        match &call.body {
            // Glance's kind of JSON has a name of its own.
            Some(body) if call.method == Method::PATCH => {
                request.raw("application/openstack-images-v2.1-json-patch", body.to_string())
            }
            Some(body) => request.json(body.clone()),
            None => request,
        }
    }

    /// Sends a request; logs in again where the token has ended.
    pub(crate) async fn raw(&self, call: &Call<'_>) -> Result<Reply, Refused> {
        let mut session = self.session().await?;
        for last in [false, true] {
            let url = self.address(&session, call)?;
            let mut request = self.request(&session, call, url);
            if let Some(path) = &call.upload {
                let file = tokio::fs::File::open(path)
                    .await
                    .map_err(|e| Fault::permanent(format!("{} can't be read: {e}", path.display())))?;
                request = request.raw("application/octet-stream", grappe_http::file_body(file));
            }
            match request.send().await {
                Err(error) if error.status() == Some(401) && !last => {
                    session = self.session_after(&session).await?
                }
                Err(error) => return Err(Refused::Http(error)),
                Ok(reply) => return Ok(reply),
            }
        }
        Err(Refused::Fault(Fault::permanent("the cloud takes no token")))
    }

    /// Sends a request and reads the answer; null where it is empty.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Json, Refused> {
        let reply = self.raw(&call).await?;
        if reply.body.is_empty() {
            return Ok(Json::Null);
        }
        Ok(reply.json()?)
    }

    /// Reads one object: `None` where there is none.
    pub(crate) async fn find(&self, call: Call<'_>) -> Result<Option<Json>, Fault> {
        match self.call(call).await {
            Ok(found) => Ok(Some(found)),
            Err(refused) if refused.status() == Some(404) => Ok(None),
            Err(refused) => Err(refused.fault()),
        }
    }

    /// All pages of a list, whose items stand under `key`.
    pub(crate) async fn list(&self, call: Call<'_>, key: &str) -> Result<Vec<Json>, Fault> {
        let (service, region) = (call.service, call.region);
        let mut page = self.call(call).await.map_err(Refused::fault)?;
        let mut all = Vec::new();
        loop {
            let next = next_page(&page, key);
            match page.get_mut(key).map(Json::take) {
                Some(Json::Array(items)) => all.extend(items),
                _ => return Err(Fault::permanent(format!("the cloud's list has no {key:?}"))),
            }
            let Some(next) = next else { return Ok(all) };
            let mut call = Call::new(Method::GET, service, region, next.path);
            call.query = next.query;
            page = self.call(call).await.map_err(Refused::fault)?;
        }
    }

    /// The turn to change something below a load balancer.
    pub(crate) fn turn(&self, balancer: &str) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        turns.entry(balancer.to_owned()).or_default().clone()
    }
}

/// Where the next page of a list is.
struct Next {
    path: String,
    query: Vec<(String, String)>,
}

/// The link to the next page. Its host may be one that only the cloud itself knows: its query is taken, and the path from the collection on.
fn next_page(page: &Json, key: &str) -> Option<Next> {
    let href = match page.get(format!("{key}_links")).and_then(Json::as_array) {
        Some(links) => links.iter().find(|l| l["rel"] == "next")?["href"].as_str()?,
        None => page.get("next")?.as_str()?,
    };
    let base: Url = "http://cloud/".parse().ok()?;
    let url = base.join(href).ok()?;
    let segments: Vec<&str> = url.path_segments()?.collect();
    // `/v2.1/PROJECT/servers/detail`: what stands before the collection is the service's own address.
    let from = segments
        .iter()
        .rposition(|s| s.replace('-', "_") == key || (key == "loadbalancers" && *s == "lbaas"))?;
    let from = if segments.get(from.wrapping_sub(1)) == Some(&"lbaas") { from - 1 } else { from };
    Some(Next {
        path: segments[from..].join("/"),
        query: url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
    })
}

/// A request that was refused, for those who know what to make of the status.
#[derive(Debug)]
pub(crate) enum Refused {
    Http(HttpError),
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Refused::Fault(fault)
    }
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Self {
        Refused::Http(error)
    }
}

impl Refused {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Refused::Http(error) => error.status(),
            Refused::Fault(_) => None,
        }
    }

    /// Whether nothing comes of the request any more: it was never sent, or the service itself refused it. (A gateway does not know what goes on behind it.)
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Refused::Fault(_) => true,
            Refused::Http(error) => match &error.kind {
                Kind::Setup(_) | Kind::Unsendable(_) | Kind::Connect(_) => true,
                Kind::Status { status, .. } => !matches!(status, 502 | 504),
                Kind::Tls(_) | Kind::Timeout | Kind::Broken(_) | Kind::Unreadable(_) => false,
            },
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Refused::Http(error) => error.message().unwrap_or_default(),
            Refused::Fault(fault) => &fault.summary,
        }
    }

    /// Whether what is asked for is beyond a quota: nothing to wait for.
    pub(crate) fn is_quota(&self) -> bool {
        let message = self.message().to_lowercase();
        matches!(self.status(), Some(403 | 409 | 413))
            && (message.contains("quota") || message.contains("exceeds allowed"))
    }

    /// Whether something uses the object, or is at work on it: it passes. What contradicts itself does not, though Neutron answers it with the same status.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status() == Some(409) && !self.is_quota() && !self.message().contains("conflicts with")
    }

    /// As the engine takes it.
    pub(crate) fn fault(self) -> Fault {
        let quota = self.is_quota();
        match self {
            Refused::Fault(fault) => fault,
            Refused::Http(error) => {
                let forbidden = error.status() == Some(403) && !quota;
                let version = error.status() == Some(406);
                let unsafe_tls = matches!(error.kind, Kind::Tls(_));
                let mut fault = Fault::from(error);
                if quota {
                    fault.kind = FaultKind::Permanent;
                    fault.hint("the project's quota is used up: `openstack quota show --usage` says by what; have it raised, or take away what nobody needs")
                } else if forbidden {
                    fault.hint("the user's role in this project does not allow it; some arguments are for administrators only")
                } else if version {
                    fault.hint("this cloud's Nova is too old for what is asked for")
                } else if unsafe_tls {
                    fault.hint("set cacert_file (or OS_CACERT) to the certificate of the cloud's authority")
                } else {
                    fault
                }
            }
        }
    }
}

/// The object in an answer like `{"port": {…}}`.
pub(crate) fn inner(mut answer: Json, key: &str) -> Result<Json, Fault> {
    match answer.get_mut(key).map(Json::take) {
        Some(object @ Json::Object(_)) => Ok(object),
        _ => Err(Fault::transient(format!("the cloud's answer has no {key:?}"))),
    }
}

/// A name as one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut url: Url = match "http://x/".parse() {
        Ok(url) => url,
        Err(_) => return name.to_owned(),
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(name);
    }
    url.path().trim_start_matches('/').to_owned()
}

/// `{"port": object}`
pub(crate) fn outer(key: &str, object: impl Into<Json>) -> Json {
    json!({ key: object.into() })
}

#[cfg(test)]
mod tests;
