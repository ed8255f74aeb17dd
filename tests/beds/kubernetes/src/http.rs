//! As much of HTTP/1.1 as apt, containerd and curl speak to a server that only gives files: GET and HEAD, connections that stay
//! open, pipelined requests, ranges.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// No request of an honest client is longer.
const LONGEST: u64 = 64 * 1024;

/// A request, as far as it matters here.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded, without the query.
    pub(crate) path: String,
    /// First byte and, where given, the one after the last.
    pub(crate) range: Option<(u64, Option<u64>)>,
    /// Whether the client closes the connection afterwards.
    pub(crate) last: bool,
}

/// What is answered.
pub(crate) struct Response {
    pub(crate) status: &'static str,
    /// Names and values; length and range are not among them.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// The content of a response.
pub(crate) enum Body {
    Text(String),
    File(PathBuf),
}

impl Response {
    /// A response with a short text.
    pub(crate) fn text(status: &'static str, kind: &'static str, text: impl Into<String>) -> Response {
        Response { status, headers: vec![("Content-Type", kind.to_owned())], body: Body::Text(text.into()) }
    }
}

/// Answers requests until the client has no more. Errors are the connection's.
pub(crate) fn converse(stream: &TcpStream, answer: impl Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        respond(stream, &request, answer(&request))?;
        if request.last {
            break;
        }
    }
    Ok(())
}

/// The next request; none at the end of the connection.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut reader = reader.take(LONGEST);
    let mut line = || -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        reader.read_until(b'\n', &mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
    };
    let Some(first) = line()? else { return Ok(None) };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("not a request: {first:?}"));
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(bad());
    };
    let path = target.split('?').next().unwrap_or_default();
    let path = decode(path).ok_or_else(bad)?;
    let mut request = Request { method: method.to_owned(), path, range: None, last: version == "HTTP/1.0" };
    loop {
        let header = line()?.ok_or_else(bad)?;
        if header.is_empty() {
            return Ok(Some(request));
        }
        let Some((name, value)) = header.split_once(':') else { return Err(bad()) };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = range(value.trim()),
            "connection" if value.trim().eq_ignore_ascii_case("close") => request.last = true,
            _ => {}
        }
    }
}

/// `bytes=FIRST-LAST` or `bytes=FIRST-`; others may be ignored, says RFC 9110 (14.2).
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last: Option<u64> = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last.map(|l| l.saturating_add(1))))
}

/// `%2B` is a plus sign.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

fn respond(stream: &TcpStream, request: &Request, mut response: Response) -> io::Result<()> {
    let opened = match &response.body {
        Body::Text(text) => Ok((None, text.len() as u64)),
        Body::File(path) => open(path).map(|(file, size)| (Some(file), size)),
    };
    let (file, size) = opened.unwrap_or_else(|_| {
        response = Response::text("404 Not Found", "text/plain", "no such file\n");
        (None, 13)
    });
    let mut part = Range { start: 0, end: size };
    if let (Some((start, end)), "200 OK") = (request.range, response.status) {
        let end = end.unwrap_or(size).min(size);
        if start < end {
            response.status = "206 Partial Content";
            response.headers.push(("Content-Range", format!("bytes {start}-{}/{size}", end - 1)));
            part = Range { start, end };
        } else {
            response = Response::text("416 Range Not Satisfiable", "text/plain", "");
            response.headers.push(("Content-Range", format!("bytes */{size}")));
            part = Range { start: 0, end: 0 };
        }
    }
    let length = part.end - part.start;
    let mut head =
        format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    if request.method != "HEAD" {
        match (file, &response.body) {
            (Some(mut file), _) if length > 0 => {
                { stream }.write_all(head.as_bytes())?;
                file.seek(SeekFrom::Start(part.start))?;
                // From a file to a socket, the standard library lets the kernel copy: sendfile.
                let sent = io::copy(&mut file.take(length), &mut { stream })?;
                return if sent == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            (_, Body::Text(text)) if length > 0 => {
                head.push_str(&text[part.start as usize..part.end as usize])
            }
            _ => {}
        }
    }
    { stream }.write_all(head.as_bytes())
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Request> {
        read(&mut text.as_bytes()).unwrap()
    }

    #[test]
    fn requests_are_read_one_by_one() {
        let mut both = "GET /a%2Bb%253a?ns=docker.io HTTP/1.1\r\nRange: bytes=5-9\r\n\r\nHEAD / HTTP/1.1\r\nconnection: Close\r\n\r\n".as_bytes();
        let first =
            Request { method: "GET".into(), path: "/a+b%3a".into(), range: Some((5, Some(10))), last: false };
        assert_eq!(read(&mut both).unwrap(), Some(first));
        let second = Request { method: "HEAD".into(), path: "/".into(), range: None, last: true };
        assert_eq!(read(&mut both).unwrap(), Some(second));
        assert_eq!(read(&mut both).unwrap(), None);
    }

    #[test]
    fn odd_requests_are_errors_not_answers() {
        for text in [
            "hello\n\n",
            "GET /%zz HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
            "GET /a HTTP/1.1\r\nA: b\r\n",
        ] {
            assert!(read(&mut text.as_bytes()).is_err(), "{text}");
        }
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(2 * LONGEST as usize));
        assert!(read(&mut endless.as_bytes()).is_err());
    }

    #[test]
    fn ranges_that_we_do_not_know_are_passed_over() {
        for value in ["bytes=-5", "lines=1-2", "bytes=1-2,4-5", "bytes=x-"] {
            assert_eq!(
                parse(&format!("GET / HTTP/1.1\r\nRange: {value}\r\n\r\n")).unwrap().range,
                None,
                "{value}"
            );
        }
        assert_eq!(parse("GET / HTTP/1.1\r\nRange: bytes=7-\r\n\r\n").unwrap().range, Some((7, None)));
    }
}
