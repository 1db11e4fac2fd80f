//! What the client makes of an upstream that dies, stalls, lies or never ends.

use std::{io::Write, time::Duration};

use bartizan_net::{Body, Error};
use flate2::{Compression, write::GzEncoder};
use http::StatusCode;

use crate::server::{Act, Server, client, get};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";

fn head(more: &str) -> Vec<u8> {
    format!("{HEAD}{more}\r\n").into_bytes()
}

/// What sending to this upstream ends in, before its body.
async fn refusal(act: Act) -> Error {
    let server = Server::start(act).await;
    client().connect_within(Duration::from_millis(100)).send(get(&server.url())).await.unwrap_err()
}

/// What reading this upstream's body ends in.
async fn ending(act: Act) -> Result<Vec<u8>, Error> {
    let server = Server::start(act).await;
    let answer = client().send(get(&server.url())).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    answer.body.all().await.map(Into::into)
}

#[tokio::test]
async fn an_answer_comes_whole_and_identity_is_asked_for() {
    let server =
        Server::sends("HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello").await;
    let mut request = get(&server.url());
    request.headers.insert("accept-encoding", "gzip, br".parse().unwrap());
    request.headers.insert("x-own", "1".parse().unwrap());
    let answer = client().send(request).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers.get("x-a").unwrap(), "b");
    assert_eq!(answer.body.all().await.unwrap(), "hello");
    let head = server.heads().concat();
    assert!(head.starts_with("GET /path HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("accept-encoding: identity\r\n") && head.contains("x-own: 1\r\n"));
    assert!(!head.contains("br"), "{head}");
}

#[tokio::test]
async fn one_that_is_not_there_got_nothing() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    drop(server);
    let problem = client().send(get(&url)).await.unwrap_err();
    assert!(matches!(problem, Error::Connect { .. }) && problem.is_unsent(), "{problem}");
}

#[tokio::test]
async fn one_that_dies_before_it_answers_may_have_worked() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nconte"] {
        let problem = refusal(Act::Send(bytes.to_vec())).await;
        assert!(matches!(problem, Error::NoAnswer { .. }) && !problem.is_unsent(), "{problem}");
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    for bytes in [
        &b"\x16\x03\x01garbage\r\n\r\n"[..],
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ] {
        let problem = refusal(Act::Send(bytes.to_vec())).await;
        assert!(matches!(problem, Error::NotHttp { .. }), "{problem}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let line = format!("x-{}: y\r\n", "a".repeat(1000)).into_bytes();
    let long = refusal(Act::Repeat(head("")[..HEAD.len()].to_vec(), line, Duration::ZERO)).await;
    assert!(matches!(long, Error::NotHttp { .. }), "{long}");
    let many = format!("{HEAD}{}\r\n", "a: b\r\n".repeat(1000)).into_bytes();
    let many = refusal(Act::Send(many)).await;
    assert!(matches!(many, Error::NotHttp { .. }), "{many}");
}

#[tokio::test]
async fn silence_and_slow_heads_run_out_of_time() {
    let slow = Act::Repeat(HEAD.into(), b"a: b\r\n".to_vec(), Duration::from_millis(50));
    for act in [Act::SendAndStall(Vec::new()), Act::SendAndStall(HEAD.into()), slow] {
        let problem = refusal(act.clone()).await;
        assert!(matches!(problem, Error::FirstByteTime { .. }), "{act:?}: {problem}");
        assert!(problem.is_timeout() && !problem.is_unsent());
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_whole() {
    for (more, body) in [
        ("content-length: 10\r\n", "12345"),
        ("transfer-encoding: chunked\r\n", "a\r\n12345"),
        ("transfer-encoding: chunked\r\n", "5\r\n12345\r\n"),
        ("transfer-encoding: chunked\r\n", "zz\r\n12345\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "ffffffffffffffffff\r\n12345"),
    ] {
        let ended = ending(Act::Send([&head(more)[..], body.as_bytes()].concat())).await;
        assert!(matches!(ended, Err(Error::Broken { .. })), "{body}: {ended:?}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_runs_out_of_time() {
    let act = Act::SendAndStall([&head("content-length: 10\r\n")[..], b"12345"].concat());
    let ended = ending(act).await;
    assert!(matches!(ended, Err(Error::IdleTime { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_body_that_drips_runs_out_of_all_its_time() {
    let chunk = b"1\r\nx\r\n".to_vec();
    let act = Act::Repeat(head("transfer-encoding: chunked\r\n"), chunk, Duration::from_millis(20));
    let server = Server::start(act).await;
    let mut request = get(&server.url());
    request.limits.total = Duration::from_millis(400);
    let ended = client().send(request).await.unwrap().body.all().await;
    assert!(matches!(ended, Err(Error::TotalTime { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_its_bound() {
    let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
    let chunked = Act::Repeat(head("transfer-encoding: chunked\r\n"), chunk, Duration::ZERO);
    let until_closed = Act::Repeat(head(""), vec![b'x'; 4096], Duration::ZERO);
    for act in [chunked, until_closed] {
        let ended = ending(act).await;
        assert!(matches!(ended, Err(Error::TooLong { max: 100_000, .. })), "{ended:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_packed_body_is_unpacked_and_a_bomb_is_not() {
    let packed = head("content-encoding: gzip\r\n");
    let text = ending(Act::Send([&packed[..], &gzip(b"hello")].concat())).await;
    assert_eq!(text, Ok(b"hello".to_vec()));
    let bomb = gzip(&vec![0; 30 << 20]);
    let ended = ending(Act::Send([&packed[..], &bomb].concat())).await;
    assert!(matches!(ended, Err(Error::TooLong { .. })), "{ended:?}");
    let server = Server::start(Act::Send([&packed[..], &bomb].concat())).await;
    let mut request = get(&server.url());
    request.limits.body_bytes_max = 1 << 40;
    let ended = client().send(request).await.unwrap().body.all().await;
    assert!(matches!(ended, Err(Error::Bomb { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_body_that_is_not_packed_as_said_is_refused() {
    let packed = head("content-encoding: gzip\r\n");
    let cut = gzip(&[7; 1000]);
    for bytes in [&b"plain"[..], &cut[..cut.len() - 3], &[&cut[..], b"more"].concat()] {
        let ended = ending(Act::Send([&packed[..], bytes].concat())).await;
        assert!(matches!(ended, Err(Error::Coding { .. })), "{ended:?}");
    }
    for header in
        ["content-encoding: br\r\n", "content-encoding: gzip\r\ncontent-encoding: gzip\r\n"]
    {
        let problem = refusal(Act::Send(head(header))).await;
        assert!(matches!(problem, Error::Coding { .. }), "{problem}");
    }
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let elsewhere = Server::sends("HTTP/1.1 200 OK\r\n\r\nsecrets").await;
    for to in [elsewhere.url(), "http://169.254.169.254/latest/meta-data/".to_owned()] {
        let text = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
        );
        let server = Server::sends(&text).await;
        let answer = client().send(get(&server.url())).await.unwrap();
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers.get("location").unwrap(), to.as_str());
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_failure_of_a_body_stays() {
    let act = Act::Send([&head("content-length: 10\r\n")[..], b"12345"].concat());
    let server = Server::start(act).await;
    let mut body: Body = client().send(get(&server.url())).await.unwrap().body;
    let mut got = Vec::new();
    let problem = loop {
        match body.next().await {
            Ok(Some(piece)) => got.extend_from_slice(&piece),
            Ok(None) => panic!("the body is not whole"),
            Err(problem) => break problem,
        }
    };
    assert_eq!(got, b"12345");
    assert_eq!(body.next().await, Err(problem));
}
