//! Requests and what comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Method};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use url::Url;

use crate::error::{HttpError, Kind};

/// How servers are reached.
#[derive(Clone)]
pub struct Options {
    /// Certificates (PEM, any number in each) of authorities that are trusted besides the system's.
    pub authorities: Vec<Vec<u8>>,
    /// Whether any certificate is taken. Somebody in between can read and change everything then.
    pub insecure: bool,
    /// A certificate and its key (PEM, one after the other) to show to servers.
    pub identity: Option<Vec<u8>>,
    /// The longest wait for a connection.
    pub connect: Duration,
    /// The longest wait for the next piece of an answer.
    pub read: Duration,
}

impl Default for Options {
    /// The system's authorities; 10 seconds for a connection, 60 for each piece of an answer.
    fn default() -> Self {
        Options {
            authorities: Vec::new(),
            insecure: false,
            identity: None,
            connect: Duration::from_secs(10),
            read: Duration::from_secs(60),
        }
    }
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
}

impl Http {
    /// One with these options.
    ///
    /// # Errors
    /// Where a certificate or a key can't be read.
    pub fn new(options: &Options) -> Result<Self, HttpError> {
        // The first to come decides for the whole program; there is only one to choose from.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |what: &str, error: reqwest::Error| HttpError::setup(what, error);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("grappe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect)
            .read_timeout(options.read)
            .tcp_nodelay(true)
            // A token must not follow a redirection to another host.
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(options.insecure);
        let mut authorities = Vec::new();
        for pem in &options.authorities {
            let found = Certificate::from_pem_bundle(pem)
                .map_err(|e| wrong("the certificates of the authority are no PEM", e))?;
            if found.is_empty() {
                return Err(HttpError::no_certificate());
            }
            authorities.extend(found);
        }
        if !authorities.is_empty() {
            builder = builder.tls_certs_merge(authorities);
        }
        if let Some(pem) = &options.identity {
            let identity = Identity::from_pem(pem)
                .map_err(|e| wrong("the client's certificate and key can't be read", e))?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|e| wrong("no HTTP client can be made", e))?;
        Ok(Http { client })
    }

    /// A request, to be completed and sent.
    #[must_use]
    pub fn request(&self, method: Method, url: Url) -> Request {
        Request {
            client: self.client.clone(),
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::None,
            hidden: Vec::new(),
            wrong: None,
        }
    }
}

enum Body {
    None,
    Json(Json),
    Raw(&'static str, reqwest::Body),
}

/// A request that is being put together.
pub struct Request {
    client: reqwest::Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Body,
    hidden: Vec<Arc<str>>,
    wrong: Option<&'static str>,
}

impl Request {
    /// With a parameter more.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(_) => self.wrong = Some(name),
        }
        self
    }

    /// With a header whose value is a secret.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut secret) => {
                secret.set_sensitive(true);
                self.headers.insert(HeaderName::from_static(name), secret);
            }
            Err(_) => self.wrong = Some(name),
        }
        self.hide(value)
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: Json) -> Self {
        self.body = Body::Json(body);
        self
    }

    /// With a body of another kind, which may come from a file.
    #[must_use]
    pub fn raw(mut self, content_type: &'static str, body: impl Into<reqwest::Body>) -> Self {
        self.body = Body::Raw(content_type, body.into());
        self
    }

    /// Blots this out where the answer quotes it.
    #[must_use]
    pub fn hide(mut self, secret: &str) -> Self {
        if secret.len() >= 4 {
            self.hidden.push(secret.into());
        }
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// Where no answer comes, and where it is none of success (2xx).
    pub async fn send(self) -> Result<Reply, HttpError> {
        let Request { client, method, url, mut headers, body, hidden, wrong } = self;
        let at = Place { method: method.clone(), url: shown(&url) };
        if let Some(name) = wrong {
            return Err(HttpError::new(
                at,
                Kind::Unsendable(format!(
                    "the value of the header {name} has characters that a header can't hold"
                )),
            ));
        }
        headers.entry("accept").or_insert(HeaderValue::from_static("application/json"));
        let mut request = client.request(method, url).headers(headers);
        request = match body {
            Body::None => request,
            Body::Json(json) => request.json(&json),
            Body::Raw(content_type, body) => request.header("content-type", content_type).body(body),
        };
        let begun = Instant::now();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%at, took = ?begun.elapsed(), "no answer");
                return Err(HttpError::of_transport(at, error));
            }
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|e| HttpError::of_transport(at.clone(), e))?;
        let reply = Reply { at, status, headers, body };
        tracing::debug!(at = %reply.at, status, request_id = reply.request_id(), took = ?begun.elapsed(), "answered");
        if (200..300).contains(&status) { Ok(reply) } else { Err(HttpError::of_reply(&reply, &hidden)) }
    }
}

/// A body that is read from a file while it is sent.
#[must_use]
pub fn file_body(file: tokio::fs::File) -> reqwest::Body {
    file.into()
}

/// What was asked where, as it may be shown.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) method: Method,
    pub(crate) url: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// An address with no user and no password in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that can hold neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub(crate) at: Place,
    /// The status.
    pub status: u16,
    pub(crate) headers: HeaderMap,
    /// What came.
    pub body: Bytes,
}

impl Reply {
    /// A header; the first, where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The id by which the far side's operator finds the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        ["x-openstack-request-id", "x-compute-request-id", "x-request-id"]
            .iter()
            .find_map(|name| self.header(name))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where it is none, or of another form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|e| {
            // serde's words may quote the body.
            let what = format!("line {}, column {}", e.line(), e.column());
            HttpError::new(self.at.clone(), Kind::Unreadable(what))
        })
    }
}
