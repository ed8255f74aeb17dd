//! HTTP/1.1 over a Unix socket, one request a connection: all that Docker's API asks for here.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What came back.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What a request carries.
pub(super) enum Body<'a> {
    /// Nothing.
    None,
    /// A JSON document.
    Json(&'a serde_json::Value),
    /// A tar archive of any length.
    Tar(&'a mut dyn Read),
}

/// Longer than any answer should take; importing a root is the longest.
const PATIENCE: Duration = Duration::from_secs(300);
/// No answer of the API is longer.
const LONGEST: u64 = 16 << 20;

/// Sends a request, and reads the whole answer.
pub(super) fn request(socket: &Path, method: &str, path: &str, body: Body<'_>) -> io::Result<Response> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut out = &stream;
    write!(out, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
    match body {
        Body::None => write!(out, "Content-Length: 0\r\n\r\n")?,
        Body::Json(json) => {
            let text = json.to_string();
            write!(out, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
        }
        Body::Tar(tar) => {
            write!(out, "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let n = tar.read(&mut buffer)?;
                write!(out, "{n:x}\r\n")?;
                out.write_all(&buffer[..n])?;
                out.write_all(b"\r\n")?;
                if n == 0 {
                    break;
                }
            }
        }
    }
    out.flush()?;
    read_response(BufReader::new(&stream))
}

fn read_response(mut from: impl BufRead) -> io::Result<Response> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not an answer in HTTP");
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(wrong)?;
    let (mut length, mut chunked) = (None, false);
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Err(wrong());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<u64>().map_err(|_| wrong())?),
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            line.clear();
            from.read_line(&mut line)?;
            let size = line.trim().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(|_| wrong())?;
            if size == 0 {
                break;
            }
            if body.len() as u64 + size > LONGEST {
                return Err(wrong());
            }
            if from.by_ref().take(size).read_to_end(&mut body)? as u64 != size {
                return Err(wrong());
            }
            line.clear();
            from.read_line(&mut line)?;
        }
    } else if status != 204 && status != 304 {
        from.take(length.unwrap_or(LONGEST).min(LONGEST)).read_to_end(&mut body)?;
    }
    Ok(Response { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<(u16, String)> {
        read_response(text.as_bytes()).map(|r| (r.status, String::from_utf8(r.body).unwrap()))
    }

    #[test]
    fn answers_are_read_in_each_form() {
        let head = "HTTP/1.1 200 OK\r\n";
        assert_eq!(read(&format!("{head}Content-Length: 2\r\n\r\nokrest")).unwrap(), (200, "ok".into()));
        let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(read(&format!("{head}{chunks}")).unwrap(), (200, "abcde".into()));
        assert_eq!(read(&format!("{head}\r\nto the end")).unwrap(), (200, "to the end".into()));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n").unwrap(), (204, String::new()));
        for text in [
            "",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
