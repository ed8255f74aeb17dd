//! Whose certificates are taken.

use std::sync::Arc;

use grappe_http::testing::{Answer, serve};
use grappe_http::{Http, HttpError, Kind, Method, Options, Reply};
use grappe_provider::{Fault, FaultKind};
use serde_json::json;
use tokio::net::TcpListener;

/// A server with a certificate of its own making; its address and that certificate.
async fn server() -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = serve(stream, |_| Answer::json(200, &json!({}))).await;
                }
            });
        }
    });
    (url, made.cert.pem().into_bytes())
}

async fn get(url: &str, options: Options) -> Result<Reply, HttpError> {
    Http::new(&options)?.request(Method::GET, url.parse().unwrap()).send().await
}

#[tokio::test]
async fn a_certificate_must_be_known_or_waved_through() {
    let (url, pem) = server().await;
    let error = get(&url, Options::default()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Tls(_)), "{error:?}");
    assert_eq!(Fault::from(error).kind, FaultKind::Permanent, "trying again mends no certificate");
    get(&url, Options { authorities: vec![pem], ..Options::default() }).await.unwrap();
    get(&url, Options { insecure: true, ..Options::default() }).await.unwrap();
}

#[tokio::test]
async fn what_is_no_certificate_is_said() {
    let error =
        Http::new(&Options { authorities: vec![b"nothing".to_vec()], ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
    let identity = Some(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----".to_vec());
    let error = Http::new(&Options { identity, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("can't be read"), "{error}");
}
