//! Whose certificates count.

use std::{sync::Arc, time::Duration};

use bartizan_net::{Client, Error, Settings};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::server::{Act, Server, allowing, client, get};

/// A TLS server under a certificate of its own making; its port and the certificate in PEM.
async fn tls_server(name: &str) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                let _read = stream.read(&mut buffer).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                let _closed = stream.write_all(answer).await;
                let _closed = stream.shutdown().await;
            });
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn a_certificate_counts_when_the_operator_adds_its_authority() {
    let (port, pem) = tls_server("localhost").await;
    let url = format!("https://localhost:{port}/");
    let stranger = client().send(get(&url)).await.unwrap_err();
    assert!(matches!(stranger, Error::Connect { .. }) && stranger.is_unsent(), "{stranger}");
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    let settings = Settings { ca_file: Some(ca_file), ..allowing(&["localhost"]) };
    let trusting = Client::new(&settings).unwrap();
    assert_eq!(trusting.send(get(&url)).await.unwrap().body.all().await.unwrap(), "ok");
}

#[tokio::test]
async fn a_certificate_of_another_name_does_not_count() {
    let (port, pem) = tls_server("elsewhere.test").await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    let settings = Settings { ca_file: Some(ca_file), ..allowing(&["localhost"]) };
    let problem =
        Client::new(&settings).unwrap().send(get(&format!("https://localhost:{port}/"))).await;
    assert!(matches!(problem, Err(Error::Connect { .. })), "{problem:?}");
}

#[tokio::test]
async fn a_handshake_that_stalls_runs_out_of_time() {
    let server = Server::start(Act::SendAndStall(Vec::new())).await;
    let client = client().connect_within(Duration::from_millis(100));
    let url = format!("https://{}/", server.address);
    let problem = client.send(get(&url)).await.unwrap_err();
    assert!(matches!(problem, Error::ConnectTime { .. }), "{problem}");
    assert!(problem.is_unsent() && problem.is_timeout());
}
