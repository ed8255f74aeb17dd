//! Connections: what libpq's strings and variables say of them, and TLS by rustls.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};

/// What a connection string must not say, or why there is no connection. Holds no password.
#[derive(Debug)]
pub enum Wrong {
    /// The settings.
    Settings(String),
    /// The server or the way to it.
    Server(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Wrong {
    fn from(error: tokio_postgres::Error) -> Self {
        Wrong::Server(error)
    }
}

impl std::error::Error for Wrong {}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wrong::Settings(why) => f.write_str(why),
            Wrong::Server(error) => match error.as_db_error() {
                Some(db) => write!(f, "{} (SQLSTATE {})", db.message(), db.code().code()),
                None => {
                    // The outer words only say that something went wrong.
                    let mut at: &dyn std::error::Error = error;
                    while let Some(inner) = at.source() {
                        at = inner;
                    }
                    write!(f, "{at}")
                }
            },
        }
    }
}

impl Wrong {
    /// Whether it may be gone when it is tried again.
    pub(crate) fn is_passing(&self) -> bool {
        let Wrong::Server(error) = self else { return false };
        let Some(code) = error.code() else { return is_io(error) };
        // Connection lost, resources short, shutting down or starting up, transactions in each other's way.
        let class = &code.code()[..2];
        matches!(class, "08" | "53" | "57" | "40") || *code == SqlState::LOCK_NOT_AVAILABLE
    }

    pub(crate) fn hint(&self, schema: &str) -> Option<String> {
        let Wrong::Server(error) = self else { return None };
        Some(match error.code() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                "see the user and the password in conn_str, PGUSER and PGPASSWORD".into()
            }
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => format!(
                "the user needs a schema {schema} of its own, or CREATE in the database; where somebody else made schema and tables, set \
                 skip_schema_creation and skip_table_creation"
            ),
            Some(&SqlState::INVALID_CATALOG_NAME) => "make the database first: createdb NAME".into(),
            None if is_io(error) => {
                "see whether the server listens there, and whether conn_str (or PGHOST, PGPORT) names it"
                    .into()
            }
            _ => return None,
        })
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // A certificate that is not trusted is none tomorrow.
            return !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
        }
        at = error.source();
    }
    error.is_closed()
}

/// How a server is reached.
pub struct Connection {
    config: Config,
    tls: Tls,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.place()).finish()
    }
}

/// How `sslmode` has a certificate looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verify {
    Not,
    Authority,
    Full,
}

impl Connection {
    /// What a connection string (a URL, or `key=value` words) says, and where it is silent libpq's variables, looked up by `env`.
    ///
    /// # Errors
    /// Where it can't be understood, or a file that it names can't be read.
    pub fn new(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Wrong> {
        let given = |own: Option<String>, name: &str| own.or_else(|| env(name)).filter(|v| !v.is_empty());
        let (text, own) = take_ssl(text)?;
        let text = given(None, "PGPORT").and_then(|port| with_port(&text, &port)).unwrap_or(text);
        // The string is not quoted: a password may be in it.
        let wrong = |e: &dyn std::fmt::Display| Wrong::Settings(format!("conn_str can't be understood: {e}"));
        let mut config = Config::from_str(&text).map_err(|e| {
            let inner = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            wrong(&inner)
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host(given(None, "PGHOST").unwrap_or_else(|| "localhost".into()));
        }
        if config.get_ports().is_empty()
            && let Some(port) = given(None, "PGPORT")
        {
            config.port(port.parse().map_err(|_| Wrong::Settings(format!("PGPORT is no port: {port:?}")))?);
        }
        if config.get_user().is_none() {
            let user = given(None, "PGUSER").or_else(|| given(None, "USER"));
            config.user(user.ok_or_else(|| Wrong::Settings("no user is given: set PGUSER".into()))?);
        }
        if config.get_dbname().is_none()
            && let Some(name) = given(None, "PGDATABASE")
        {
            config.dbname(name);
        }
        if config.get_password().is_none()
            && let Some(password) = given(None, "PGPASSWORD").or_else(|| pgpass(&config, env))
        {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name(given(None, "PGAPPNAME").unwrap_or_else(|| "grappe".into()));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(super::CONNECT);
        }
        // As psql has it. A server that is not there any more is noticed by the lease's patience.
        let mode = given(own.mode, "PGSSLMODE").unwrap_or_else(|| "prefer".into());
        let root = given(own.root, "PGSSLROOTCERT");
        let (ssl, verify) = match mode.as_str() {
            "disable" => (SslMode::Disable, Verify::Not),
            "allow" | "prefer" => (SslMode::Prefer, Verify::Not),
            // As libpq: with an authority's certificate at hand, it is used.
            "require" if root.is_some() => (SslMode::Require, Verify::Authority),
            "require" => (SslMode::Require, Verify::Not),
            "verify-ca" => (SslMode::Require, Verify::Authority),
            "verify-full" => (SslMode::Require, Verify::Full),
            other => {
                return Err(Wrong::Settings(format!(
                    "there is no sslmode {other:?}: it is disable, allow, prefer, require, verify-ca or verify-full"
                )));
            }
        };
        config.ssl_mode(ssl);
        let identity = (given(own.cert, "PGSSLCERT"), given(own.key, "PGSSLKEY"));
        Ok(Connection { config, tls: Tls { client: Arc::new(tls(verify, root, identity)?) } })
    }

    /// `postgres://host:port/database`, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string().replace('/', "%2F"),
            None => self.config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let user = self.config.get_user().unwrap_or_default();
        format!("postgres://{host}:{port}/{}", self.config.get_dbname().unwrap_or(user))
    }

    pub(crate) async fn open(&self) -> Result<Client, Wrong> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // Ends with the client, or with the connection; the client then says that it is closed.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

/// What a string says of TLS, which tokio-postgres does not know.
#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Ssl {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sslmode" => Some(&mut self.mode),
            "sslrootcert" => Some(&mut self.root),
            "sslcert" => Some(&mut self.cert),
            "sslkey" => Some(&mut self.key),
            _ => None,
        }
    }
}

/// A URL with one host and no port, with this port: without one, tokio-postgres takes 5432.
fn with_port(text: &str, port: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty() && !host.contains(','))?;
    let has_port = host.rsplit(']').next()?.contains(':');
    (!has_port).then(|| format!("{scheme}://{authority}:{port}{tail}"))
}

fn take_ssl(text: &str) -> Result<(String, Ssl), Wrong> {
    let mut ssl = Ssl::default();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let Some((base, query)) = text.split_once('?') else { return Ok((text.to_owned(), ssl)) };
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match ssl.slot(name) {
                Some(slot) => {
                    let pair = format!("v={value}");
                    *slot = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, v)| v.into_owned());
                }
                None => rest.push(pair),
            }
        }
        let sign = if rest.is_empty() { "" } else { "?" };
        return Ok((format!("{base}{sign}{}", rest.join("&")), ssl));
    }
    let mut rest = String::new();
    for (name, value) in words(text)? {
        match ssl.slot(&name) {
            Some(slot) => *slot = Some(value),
            None => {
                let value = value.replace('\\', "\\\\").replace('\'', "\\'");
                rest.push_str(&format!("{name}='{value}' "));
            }
        }
    }
    Ok((rest, ssl))
}

/// `name = value` words, where a value may stand in single quotes, and a backslash takes what follows as it is.
fn words(text: &str) -> Result<Vec<(String, String)>, Wrong> {
    let wrong = || {
        Wrong::Settings("conn_str can't be understood: it is a URL postgres://…, or words name=value".into())
    };
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Ok(found);
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
            name.push(c);
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if name.is_empty() || rest.next() != Some('=') {
            return Err(wrong());
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\\') => value.extend(rest.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err(wrong()),
                None => break,
            }
        }
        found.push((name, value));
    }
}

/// The password of `~/.pgpass` for this connection: `host:port:database:user:password`, `*` for any.
fn pgpass(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let path = env("PGPASSFILE").or_else(|| env("HOME").map(|home| format!("{home}/.pgpass")))?;
    let text = std::fs::read_to_string(path).ok()?;
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        Host::Unix(_) => "localhost".into(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let wanted = [&*host, &*port, config.get_dbname().unwrap_or(user), user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => fields.last_mut()?.extend(rest.next()),
                ':' if fields.len() < 5 => fields.push(String::new()),
                c => fields.last_mut()?.push(c),
            }
        }
        let fits =
            fields.len() == 5 && fields.iter().zip(wanted).all(|(have, want)| have == "*" || have == want);
        fits.then(|| fields.pop()).flatten()
    })
}

fn tls(
    verify: Verify,
    root: Option<String>,
    identity: (Option<String>, Option<String>),
) -> Result<ClientConfig, Wrong> {
    let provider = Arc::new(ring::default_provider());
    let wrong = |what: &str, e: &dyn std::fmt::Display| Wrong::Settings(format!("{what}: {e}"));
    let mut roots = RootCertStore::empty();
    if verify != Verify::Not {
        let named = root.filter(|path| path != "system");
        let default = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".postgresql/root.crt"));
        let file = named.map(PathBuf::from).or_else(|| default.filter(|path| path.is_file()));
        match file {
            Some(path) => {
                let what = format!("the authority's certificate {} can't be read", path.display());
                for cert in CertificateDer::pem_file_iter(&path).map_err(|e| wrong(&what, &e))? {
                    roots.add(cert.map_err(|e| wrong(&what, &e))?).map_err(|e| wrong(&what, &e))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("TLS can't be used", &e))?;
    let builder = match verify {
        Verify::Full => builder.with_root_certificates(roots),
        other => {
            let roots = (other == Verify::Authority).then_some(roots);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, roots }))
        }
    };
    match identity {
        (Some(cert), Some(key)) => {
            let what = "the client's certificate (sslcert, sslkey) can't be read";
            let chain = CertificateDer::pem_file_iter(cert).map_err(|e| wrong(what, &e))?;
            let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(what, &e))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(what, &e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| wrong(what, &e))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// For the modes that look less closely: `require` takes any certificate, `verify-ca` one for any name.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let algorithms = self.provider.signature_verification_algorithms.all;
            let cert = ParsedCertificate::try_from(end)?;
            verify_server_cert_signed_by_trust_anchor(&cert, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// rustls for tokio-postgres.
#[derive(Clone)]
struct Tls {
    client: Arc<ClientConfig>,
}

struct Handshake {
    client: Arc<ClientConfig>,
    name: String,
}

struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, name: &str) -> io::Result<Handshake> {
        Ok(Handshake { client: self.client.clone(), name: name.to_owned() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.name)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            tokio_rustls::TlsConnector::from(self.client).connect(name, stream).await.map(Stream)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
