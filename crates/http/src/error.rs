//! What can go wrong with a request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grappe_provider::Fault;

use crate::client::{Place, Reply};
use crate::said::said;

/// A request that gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.report())]
pub struct HttpError {
    at: Option<Place>,
    /// What was wrong.
    pub kind: Kind,
    #[source]
    source: Option<reqwest::Error>,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client can't be made: a certificate that can't be read.
    Setup(String),
    /// The request can't be written.
    Unsendable(String),
    /// No connection: refused, no route, no such name.
    Connect(String),
    /// The server's certificate is not to be trusted, or TLS fails otherwise.
    Tls(String),
    /// No answer in time.
    Timeout,
    /// The connection broke before the answer was whole.
    Broken(String),
    /// The answer is not what the API promises; where in it.
    Unreadable(String),
    /// The server refused or failed.
    Status {
        /// 400 and above.
        status: u16,
        /// In its own words.
        message: Option<String>,
        /// The id by which its operator finds the request.
        request_id: Option<String>,
        /// When to come again.
        retry_after: Option<Duration>,
    },
}

impl HttpError {
    pub(crate) fn new(at: Place, kind: Kind) -> Self {
        HttpError { at: Some(at), kind, source: None }
    }

    pub(crate) fn setup(what: &str, source: reqwest::Error) -> Self {
        HttpError {
            at: None,
            kind: Kind::Setup(format!("{what}: {}", deepest(&source))),
            source: Some(source),
        }
    }

    pub(crate) fn no_certificate() -> Self {
        let kind =
            Kind::Setup("there is no certificate in what is to be the authority's (PEM is asked for)".into());
        HttpError { at: None, kind, source: None }
    }

    pub(crate) fn of_transport(at: Place, error: reqwest::Error) -> Self {
        let why = deepest(&error);
        let tls = ["certificate", "tls", "handshake"].iter().any(|word| why.to_lowercase().contains(word));
        let kind = if error.is_timeout() {
            Kind::Timeout
        } else if error.is_builder() {
            Kind::Unsendable(why)
        } else if tls {
            Kind::Tls(why)
        } else if error.is_connect() {
            Kind::Connect(why)
        } else {
            Kind::Broken(why)
        };
        HttpError { at: Some(at), kind, source: Some(error.without_url()) }
    }

    pub(crate) fn of_reply(reply: &Reply, hidden: &[Arc<str>]) -> Self {
        let kind = Kind::Status {
            status: reply.status,
            message: said(&reply.body, hidden),
            request_id: reply.request_id().map(str::to_owned),
            retry_after: reply.header("retry-after").and_then(|text| retry_after(text, SystemTime::now())),
        };
        HttpError { at: Some(reply.at.clone()), kind, source: None }
    }

    /// The status, where the server gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            Kind::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// What the server said.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match &self.kind {
            Kind::Status { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    fn report(&self) -> String {
        let what = match &self.kind {
            Kind::Setup(why) => return why.clone(),
            Kind::Unsendable(why) => format!("the request can't be sent: {why}"),
            Kind::Connect(why) => format!("no connection: {why}"),
            Kind::Tls(why) => format!("no safe connection: {why}"),
            Kind::Timeout => "no answer in time".into(),
            Kind::Broken(why) => format!("the connection broke: {why}"),
            Kind::Unreadable(place) => format!("the answer is not what the API promises ({place})"),
            Kind::Status { status, message, .. } => match message {
                Some(message) => format!("{message} (HTTP {status})"),
                None => format!("HTTP {status}"),
            },
        };
        match &self.at {
            Some(at) => format!("{at}: {what}"),
            None => what,
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        let summary = error.report();
        let fault = match &error.kind {
            Kind::Setup(_) | Kind::Unsendable(_) => Fault::permanent(summary),
            Kind::Tls(_) => Fault::permanent(summary)
                .hint("give the authority's certificate to the provider, or the name that the certificate is for in the address"),
            Kind::Connect(_) | Kind::Timeout | Kind::Broken(_) | Kind::Unreadable(_) => Fault::transient(summary),
            Kind::Status { status, retry_after, .. } => {
                let fault = match *status {
                    404 | 410 => Fault::gone(summary),
                    429 => Fault::throttled(summary),
                    408 | 425 | 500..=599 => Fault::transient(summary),
                    // A limit of old, with the time to wait.
                    413 if retry_after.is_some() => Fault::transient(summary),
                    300..=399 => Fault::permanent(summary).hint("the address leads elsewhere; give the address that it leads to"),
                    _ => Fault::permanent(summary),
                };
                match retry_after {
                    Some(wait) => fault.after(*wait),
                    None => fault,
                }
            }
        };
        let fault = match &error.kind {
            Kind::Status { request_id: Some(id), .. } => fault.details(format!("request id: {id}")),
            _ => fault,
        };
        fault.source(error)
    }
}

/// Seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text.trim()).ok()?.duration_since(now).unwrap_or_default(),
    };
    // Nobody means a day; a run would only seem to hang.
    Some(wait.min(Duration::from_secs(600)))
}

/// The innermost cause: the outer ones only say that something went wrong.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(inner) = at.source() {
        at = inner;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_again_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 27 Nov 2026 03:00:00 GMT").unwrap();
        let wait = |text| retry_after(text, now).map(|d| d.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Fri, 27 Nov 2026 03:00:30 GMT"), Some(30));
        assert_eq!(wait("Fri, 27 Nov 2026 02:00:00 GMT"), Some(0));
        assert_eq!(wait("99999"), Some(600));
        assert_eq!(wait("soon"), None);
    }
}
