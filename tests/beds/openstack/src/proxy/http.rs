//! As much of HTTP/1.1 as the proxy needs: whole messages, read and written.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request whose body has been read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    headers: Headers,
    body: Vec<u8>,
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    reason: String,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

type Headers = Vec<(String, String)>;

/// Headers of one connection, which go no further: we have our own.
const HOP: [&str; 6] = ["connection", "keep-alive", "transfer-encoding", "content-length", "host", "expect"];

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

/// The next request of a connection; `None` at its end.
pub(super) async fn request(
    stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin),
) -> Result<Option<Request>> {
    let first = line(stream).await?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(broken("no request")) };
    let headers = headers(stream).await?;
    if find(&headers, "expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        stream.flush().await?;
    }
    let body = body(stream, &headers).await?;
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), headers, body }))
}

/// A line without its end; empty at the end of the stream.
async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn headers(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Headers> {
    let mut headers = Headers::new();
    loop {
        let line = line(stream).await?;
        let Some((name, value)) = line.split_once(':') else {
            return if line.is_empty() { Ok(headers) } else { Err(broken("a header without a colon")) };
        };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request's body.
async fn body(stream: &mut (impl AsyncBufRead + Unpin), headers: &Headers) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if find(headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(stream).await?;
            let size = size.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).map_err(|_| broken("no size of a chunk"))?;
            if size == 0 {
                // Trailers are headers.
                self::headers(stream).await?;
                return Ok(body);
            }
            exactly(stream, size, &mut body).await?;
            line(stream).await?;
        }
    }
    if let Some(length) = find(headers, "content-length") {
        let length = length.parse().map_err(|_| broken("no length of a body"))?;
        exactly(stream, length, &mut body).await?;
    }
    Ok(body)
}

async fn exactly(stream: &mut (impl AsyncBufRead + Unpin), length: u64, body: &mut Vec<u8>) -> Result<()> {
    let read = stream.take(length).read_to_end(body).await?;
    if read as u64 == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Asks a service. In HTTP/1.0: the answer ends where the connection ends.
pub(super) async fn forward(request: &Request, to: SocketAddr, path: &str) -> Result<Response> {
    let mut head = format!(
        "{} {path} HTTP/1.0\r\nHost: {to}\r\nContent-Length: {}\r\n",
        request.method,
        request.body.len()
    );
    for (name, value) in request.headers.iter().filter(|(name, _)| !hop(name)) {
        head += &format!("{name}: {value}\r\n");
    }
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut stream = tokio::io::BufStream::new(stream);
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&request.body).await?;
    stream.flush().await?;
    let first = line(&mut stream).await?;
    let mut words = first.splitn(3, ' ').skip(1);
    let status = words.next().and_then(|status| status.parse().ok()).ok_or_else(|| broken("no status"))?;
    let reason = words.next().unwrap_or_default().to_owned();
    let headers = headers(&mut stream).await?;
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await?;
    let cut = find(&headers, "content-length")
        .and_then(|length| length.parse().ok())
        .is_some_and(|l: usize| body.len() < l);
    if cut && request.method != "HEAD" {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Response { status, reason, headers, body })
}

fn hop(name: &str) -> bool {
    HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

impl Response {
    /// What the proxy says itself.
    pub(super) fn plain(status: u16, what: &str) -> Response {
        let body = format!("{{\"error\": {{\"code\": {status}, \"message\": {what:?}}}}}");
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Response { status, reason: "Proxy".to_owned(), headers, body: body.into_bytes() }
    }

    /// As [`Self::plain`], with the seconds to wait.
    pub(super) fn busy(status: u16, what: &str, retry_after: u32) -> Response {
        let mut response = Self::plain(status, what);
        response.headers.push(("Retry-After".to_owned(), retry_after.to_string()));
        response
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Answers the request.
    pub(super) async fn write(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        request: &Request,
    ) -> Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason);
        for (name, value) in self.headers.iter().filter(|(name, _)| !hop(name)) {
            head += &format!("{name}: {value}\r\n");
        }
        // An answer without a body may not speak of its length.
        let none = request.method == "HEAD" || matches!(self.status, 204 | 304);
        if !none {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        if !none {
            stream.write_all(&self.body).await?;
        }
        stream.flush().await
    }
}
