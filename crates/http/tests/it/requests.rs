//! What comes back, and what becomes of it.

use std::time::Duration;

use grappe_http::testing::{Answer, Server};
use grappe_http::{Http, HttpError, Kind, Method, Options, Reply};
use grappe_provider::{Fault, FaultKind};
use serde_json::{Value as Json, json};

async fn get(server: &Server, path: &str) -> Result<Reply, HttpError> {
    let http = Http::new(&Options { read: Duration::from_secs(5), ..Options::default() }).unwrap();
    http.request(Method::GET, format!("{}{path}", server.url()).parse().unwrap())
        .secret_header("x-auth-token", "very-secret-token")
        .send()
        .await
}

#[tokio::test]
async fn json_goes_in_and_out() {
    let server =
        Server::start(|asked| Answer::json(200, &json!({ "got": asked.json(), "path": asked.path }))).await;
    let http = Http::new(&Options::default()).unwrap();
    let url = format!("{}/v2/things", server.url()).parse().unwrap();
    let reply =
        http.request(Method::POST, url).query("name", "a b&c").json(json!({ "x": 1 })).send().await.unwrap();
    let body: Json = reply.json().unwrap();
    assert_eq!(body, json!({ "got": { "x": 1 }, "path": "/v2/things?name=a+b%26c" }));
    assert_eq!(server.asked()[0].headers["content-type"], "application/json");
    assert!(server.asked()[0].headers["user-agent"].starts_with("grappe/"));
}

#[tokio::test]
async fn each_answer_becomes_the_fault_that_it_is() {
    let server = Server::start(|asked| {
        let status = asked.path.trim_start_matches('/').parse().unwrap_or(0);
        match status {
            429 => Answer::text(429, "slow down").header("retry-after", "11"),
            0 => Answer::breaks(),
            _ => Answer::json(status, &json!({ "error": { "message": "because of very-secret-token" } }))
                .header("x-openstack-request-id", "req-1"),
        }
    })
    .await;
    let fault = async |status: u16| Fault::from(get(&server, &format!("/{status}")).await.unwrap_err());
    for (status, kind) in [
        (400, FaultKind::Permanent),
        (403, FaultKind::Permanent),
        (404, FaultKind::Gone),
        (409, FaultKind::Permanent),
        (429, FaultKind::Throttled(Some(Duration::from_secs(11)))),
        (500, FaultKind::Transient(None)),
        (503, FaultKind::Transient(None)),
        (0, FaultKind::Transient(None)),
        (301, FaultKind::Permanent),
    ] {
        let fault = fault(status).await;
        assert_eq!(fault.kind, kind, "{status}: {fault:?}");
        assert!(!format!("{fault:?}").contains("very-secret"), "{fault:?}");
    }
    let fault = fault(400).await;
    assert_eq!(fault.summary, format!("GET {}/400: because of (sensitive) (HTTP 400)", server.url()));
    assert_eq!(fault.details, ["request id: req-1"]);
}

#[tokio::test]
async fn what_is_no_json_is_said_without_quoting_it() {
    let server = Server::start(|_| Answer::text(200, "{\"password\": hunter2}")).await;
    let error = get(&server, "/").await.unwrap().json::<Json>().unwrap_err();
    assert_eq!(error.kind, Kind::Unreadable("line 1, column 14".into()));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test]
async fn no_server_is_a_fault_that_may_pass() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let http = Http::new(&Options::default()).unwrap();
    let url = format!("http://user:hunter2@127.0.0.1:{port}/v3").parse().unwrap();
    let error = http.request(Method::GET, url).send().await.unwrap_err();
    assert!(matches!(error.kind, Kind::Connect(_)), "{error:?}");
    let fault = Fault::from(error);
    assert!(fault.is_transient());
    assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    assert!(fault.summary.starts_with(&format!("GET http://127.0.0.1:{port}/v3: no connection:")), "{fault}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = Http::new(&Options { read: Duration::from_millis(200), ..Options::default() }).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let error = http.request(Method::GET, url).send().await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(Fault::from(error).is_transient());
}

#[tokio::test]
async fn a_header_that_can_not_be_sent_is_named_but_not_shown() {
    let http = Http::new(&Options::default()).unwrap();
    let url = "http://127.0.0.1:1/".parse().unwrap();
    let error =
        http.request(Method::GET, url).secret_header("x-auth-token", "two\nlines").send().await.unwrap_err();
    let text = format!("{error:?} {error}");
    assert!(text.contains("x-auth-token") && !text.contains("lines"), "{text}");
}
