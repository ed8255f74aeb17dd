//! Requests for the objects of one state.

use std::time::{Duration, SystemTime};

use grappe_http::{Http, HttpError, Method};
use grappe_state::storage::StoreError;
use url::Url;

use super::credentials::{Credentials, Source};
use super::sign::{Asked, Headers, sign};
use crate::server::Trouble;

/// Where a state is.
#[derive(Default)]
pub struct Settings {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
    /// The region.
    pub region: Option<String>,
    /// Another server than AWS's.
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path, not in the host's name.
    pub use_path_style: bool,
    /// Who asks.
    pub source: Source,
    /// Has the server encrypt what it keeps.
    pub encrypt: bool,
    /// With this key of its key service.
    pub kms_key_id: Option<String>,
    /// Certificates (PEM) of authorities that are trusted besides the system's.
    pub authorities: Option<Vec<u8>>,
    /// Whether any certificate is taken.
    pub insecure: bool,
}

/// When an object may be written.
pub(super) enum Put<'a> {
    Any,
    /// It is not there yet.
    New,
    /// It is this one.
    If(&'a str),
}

/// An object.
pub(super) struct Object {
    pub(super) bytes: Vec<u8>,
    pub(super) etag: String,
    /// How long ago it was written, by the server's clock.
    pub(super) age: Duration,
}

/// What asks for the objects of one state.
#[derive(Clone)]
pub struct Client {
    http: Http,
    /// Ends in the bucket's `/`.
    base: Url,
    key: String,
    place: String,
    region: String,
    credentials: Credentials,
    encryption: Headers,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.place).finish()
    }
}

impl Client {
    /// By these settings, and where they are silent AWS's variables, looked up by `env`.
    ///
    /// # Errors
    /// Where something is missing or makes no sense: in words, with what to do.
    pub fn new(
        settings: Settings,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, (String, Option<String>)> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let (bucket, key) = (settings.bucket.clone(), settings.key.clone());
        let key = key.trim_start_matches('/').to_owned();
        if bucket.is_empty() || key.is_empty() {
            return Err(("a bucket and a key are asked for".into(), None));
        }
        let found = settings.source.find(env).map_err(|why| {
            let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials; \
                        roles and the machine's own identity are not asked for keys";
            (format!("no credentials for S3: {why}"), Some(hint.to_owned()))
        })?;
        let region = settings.region.or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
        let region = region.or(found.region);
        let endpoint =
            settings.endpoint.or_else(|| set("AWS_ENDPOINT_URL_S3")).or_else(|| set("AWS_ENDPOINT_URL"));
        let region = match (region, &endpoint) {
            (Some(region), _) => region,
            // Those who speak like S3 mostly do not care.
            (None, Some(_)) => "us-east-1".into(),
            (None, None) => {
                return Err(("no region is given".into(), Some("set region, or AWS_REGION".into())));
            }
        };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
        let wrong = || (format!("{endpoint:?} is no address of a server"), None);
        let mut base: Url = endpoint.parse().map_err(|_| wrong())?;
        let host = base.host_str().ok_or_else(wrong)?.to_owned();
        let path = base.path().trim_end_matches('/').to_owned();
        if settings.use_path_style {
            base.set_path(&format!("{path}/{bucket}/"));
        } else {
            base.set_host(Some(&format!("{bucket}.{host}"))).map_err(|_| wrong())?;
            base.set_path(&format!("{path}/"));
        }
        let encryption = match (&settings.kms_key_id, settings.encrypt) {
            (Some(id), _) => vec![
                ("x-amz-server-side-encryption", "aws:kms".to_owned()),
                ("x-amz-server-side-encryption-aws-kms-key-id", id.clone()),
            ],
            (None, true) => vec![("x-amz-server-side-encryption", "AES256".to_owned())],
            (None, false) => Vec::new(),
        };
        let options = grappe_http::Options {
            authorities: settings.authorities.into_iter().collect(),
            insecure: settings.insecure,
            ..grappe_http::Options::default()
        };
        let http = Http::new(&options).map_err(|e| (e.to_string(), None))?;
        let place = format!("s3://{bucket}/{key}");
        Ok(Client { http, base, key, place, region, credentials: found.credentials, encryption })
    }

    /// `s3://bucket/key`
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// An object, by what its key adds to the state's.
    pub(super) async fn get(&self, more: &str) -> Result<Option<Object>, Trouble> {
        let reply = match self.send(Method::GET, more, Vec::new(), Vec::new()).await {
            Err(e)
                if e.status() == Some(404)
                    && e.message().is_none_or(|said| !said.contains("NoSuchBucket")) =>
            {
                return Ok(None);
            }
            other => other.map_err(|e| self.trouble("read", &e))?,
        };
        let time = |name| reply.header(name).and_then(|text| httpdate::parse_http_date(text).ok());
        let age = time("last-modified")
            .and_then(|then| time("date").unwrap_or_else(SystemTime::now).duration_since(then).ok());
        Ok(Some(Object {
            bytes: reply.body.to_vec(),
            etag: reply.header("etag").unwrap_or_default().to_owned(),
            age: age.unwrap_or_default(),
        }))
    }

    /// Writes an object; `false` where it is not as it had to be.
    pub(super) async fn put(&self, more: &str, bytes: Vec<u8>, when: Put<'_>) -> Result<bool, Trouble> {
        let mut headers = self.encryption.clone();
        match when {
            Put::Any => {}
            Put::New => headers.push(("if-none-match", "*".into())),
            Put::If(etag) => headers.push(("if-match", etag.to_owned())),
        }
        let is_conditional = !matches!(when, Put::Any);
        match self.send(Method::PUT, more, bytes, headers).await {
            Ok(_) => Ok(true),
            // 409: somebody else writes it at this moment. 404: it had to be this one, and is gone.
            Err(e) if is_conditional && matches!(e.status(), Some(412)) => Ok(false),
            Err(e) if is_conditional && e.status() == Some(409) => {
                Err(Trouble::Passing(self.error("write", &e)))
            }
            Err(e) => Err(self.trouble("write", &e)),
        }
    }

    pub(super) async fn delete(&self, more: &str) -> Result<(), Trouble> {
        match self.send(Method::DELETE, more, Vec::new(), Vec::new()).await {
            Err(e) if e.status() == Some(404) => Ok(()),
            other => other.map(drop).map_err(|e| self.trouble("delete from", &e)),
        }
    }

    async fn send(
        &self,
        method: Method,
        more: &str,
        body: Vec<u8>,
        headers: Headers,
    ) -> Result<grappe_http::Reply, HttpError> {
        let mut url = self.base.clone();
        let path = format!("{}{}", url.path(), encoded(&format!("{}{more}", self.key)));
        url.set_path(&path);
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let time = stamp(SystemTime::now());
        let asked = Asked {
            method: method.as_str(),
            host: &host,
            path: &path,
            body: &body,
            time: &time,
            region: &self.region,
        };
        let headers = sign(&asked, &self.credentials, headers);
        let mut request = self.http.request(method.clone(), url);
        for (name, value) in headers {
            request = match name {
                "authorization" | "x-amz-security-token" => request.secret_header(name, &value),
                _ => request.header(name, &value),
            };
        }
        if method == Method::PUT {
            request = request.raw("application/octet-stream", body);
        }
        request.hide(&self.credentials.secret_key).send().await
    }

    /// Makes the bucket, for tests.
    #[cfg(feature = "testing")]
    pub(crate) async fn make_bucket(&self) -> bool {
        let mut bucket = Client { key: String::new(), ..self.clone() };
        bucket.base.set_path(self.base.path().trim_end_matches('/'));
        bucket.send(Method::PUT, "", Vec::new(), Vec::new()).await.is_ok()
    }

    fn error(&self, doing: &'static str, error: &HttpError) -> StoreError {
        let said = error.message().unwrap_or_default();
        let hint = match error.status() {
            _ if said.contains("NoSuchBucket") => Some("make the bucket first"),
            Some(403) => Some(
                "see whether the keys are right, and may read, write and delete objects of that key and below it",
            ),
            Some(301 | 307) => Some("see whether region is the bucket's"),
            Some(400) if said.contains("Region") => Some("see whether region is the bucket's"),
            Some(501) => Some("the server must know conditional writes (If-Match, If-None-Match)"),
            None => Some("see whether the server is there: endpoints.s3, region, use_path_style"),
            _ => None,
        };
        let (place, hint) = (self.place.clone(), hint.map(str::to_owned));
        StoreError::Remote { doing, place, why: error.to_string(), hint }
    }

    fn trouble(&self, doing: &'static str, error: &HttpError) -> Trouble {
        use grappe_http::Kind;
        let told = self.error(doing, error);
        match &error.kind {
            Kind::Connect(_) | Kind::Timeout | Kind::Broken(_) => Trouble::Passing(told),
            Kind::Status { status: 408 | 429 | 500 | 502..=504, .. } => Trouble::Passing(told),
            _ => Trouble::Final(told),
        }
    }
}

/// A key as it stands in a path: all but letters, digits, `-._~` and `/` percent-encoded.
fn encoded(key: &str) -> String {
    key.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// `20261127T031500Z`
fn stamp(time: SystemTime) -> String {
    grappe_state::lock::utc(time).replace(['-', ':'], "")
}
