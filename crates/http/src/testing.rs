//! A server that answers as a test says: HTTP/1.1, one request a connection, on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    breaks: bool,
}

impl Answer {
    /// JSON.
    #[must_use]
    pub fn json(status: u16, body: &Json) -> Self {
        Answer { status, headers: Vec::new(), body: body.to_string().into_bytes(), breaks: false }
    }

    /// Text.
    #[must_use]
    pub fn text(status: u16, body: &str) -> Self {
        Answer { status, headers: Vec::new(), body: body.into(), breaks: false }
    }

    /// Nothing: the connection is closed in the middle of the answer.
    #[must_use]
    pub fn breaks() -> Self {
        Answer { breaks: true, ..Answer::text(200, "half of ") }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A running server; it ends with its runtime.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no port to be had.
    pub async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, |asked| {
                        log.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
                        answer(asked)
                    })
                    .await;
                });
            }
        });
        Server { address, asked }
    }

    /// Its address, with no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request and answers it.
///
/// # Errors
/// Where the connection breaks.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl FnOnce(&Asked) -> Answer,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let answer = answer(&Asked { method, path, headers, body });
    let length = answer.body.len() + if answer.breaks { 100 } else { 0 };
    let mut head =
        format!("HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {length}\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer.body).await?;
    stream.shutdown().await
}
