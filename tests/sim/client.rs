//! Clients that vanish, dawdle, or do not read what they asked for.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    common::{
        self, Home, Server,
        model::{Answer, Model},
        read_reply,
    },
    form::{self, Form},
    house::{self, HONEST, SILENCE, SLACK, TOTAL},
};

/// How long a client may take for a head, for a body, and to read on.
const PATIENCE: Duration = Duration::from_millis(700);
/// Events that fill every buffer between the gateway and a client that does not read.
const FILLING: usize = 400;

/// A model that is slow, or endless, when it is called so.
fn model() -> Model {
    Model::new(|path, body| {
        let (form, streams) = (house::form_of(path), body["stream"] == true);
        match body["model"].as_str().unwrap() {
            "slow" => {
                sleep(SILENCE / 2);
                house::honest(form, streams)
            }
            // Some of a stream, then silence that is not too long yet.
            "pauses" => Answer::Play(Box::new(move |stream| {
                let events = form.stream(&["Mix flour and water, and let it rest. ", "There."]);
                let _sent =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
                let _sent = stream.write_all(events[..events.len() - 3].concat().as_bytes());
                // A gateway that hangs up ends this at once.
                let _end = stream.set_read_timeout(Some(2 * TOTAL));
                let _end = stream.read(&mut [0]);
            })),
            "pours" => Answer::Play(Box::new(move |stream| {
                let event = form
                    .event(&json!({"type": "response.in_progress", "numbers": vec![0; 32_000]}));
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                let _sent = stream.write_all(head.as_bytes());
                for _ in 0..FILLING {
                    if stream.write_all(event.as_bytes()).is_err() {
                        return;
                    }
                }
                let _sent = stream.write_all(form.stream(&["There."]).concat().as_bytes());
            })),
            _ => house::honest(form, streams),
        }
    })
}

fn home(model: &Model) -> Home {
    let ms = PATIENCE.as_millis();
    let data = format!("header_ms_max = {ms}\nbody_ms_max = {ms}\nstall_ms_max = {ms}\n");
    house::home(model, &data, "")
}

/// Reads to the end, which must come in time; how long it took.
#[track_caller]
fn ends(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let (started, mut bytes) = (Instant::now(), Vec::new());
    let read = stream.read_to_end(&mut bytes);
    let took = started.elapsed();
    let stuck = read.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!stuck && took < PATIENCE + SLACK, "it hung for {took:?}");
    (bytes, took)
}

const CHAT: &Form = &form::ALL[0];

#[test]
fn a_client_that_dawdles_is_let_go() {
    let model = model();
    let home = home(&model);
    let key = home.key("k");
    let server = home.serve();
    let (head, body) = house::wire(CHAT, &key, &CHAT.request(HONEST, false));
    // Says nothing, not even which HTTP it speaks; or a part of its head, or of its body.
    for said in ["", "P", "PRI * HTTP/2", "POST /v1/chat/completions HT", &head[..head.len() - 9]] {
        let mut stream = house::connect(home.data_port);
        stream.write_all(said.as_bytes()).unwrap();
        let (bytes, _) = ends(&mut stream);
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"), "{said:?}: {bytes:?}");
    }
    let mut slow = house::connect(home.data_port);
    slow.write_all((head + &body[..9]).as_bytes()).unwrap();
    let (bytes, _) = ends(&mut slow);
    let reply = read_reply(&bytes[..]).unwrap();
    assert_eq!((reply.status, form::code(&reply).as_deref()), (408, Some("body_too_slow")));
    // A byte now and then makes no difference.
    let (head, body) = house::wire(CHAT, &key, &CHAT.request(HONEST, false));
    let mut drips = house::connect(home.data_port);
    drips.write_all(head.as_bytes()).unwrap();
    let started = Instant::now();
    for byte in body.as_bytes() {
        if drips.write_all(&[*byte]).is_err() || started.elapsed() > PATIENCE + SLACK {
            break;
        }
        sleep(PATIENCE / 8);
    }
    assert!(started.elapsed() < PATIENCE + SLACK, "it was waited for: {:?}", started.elapsed());
    // One that asked once and keeps the connection for nothing.
    let mut idle = house::connect(home.data_port);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (bytes, _) = ends(&mut idle);
    assert!(bytes.starts_with(b"HTTP/1.1 200"), "{bytes:?}");
    assert!(model.seen().is_empty(), "half a request reached the model");
    after(server, &home, &key);
    assert_eq!(house::refusals(&home, "body_too_slow"), 2);
}

#[test]
fn a_client_that_vanishes_leaves_a_record_and_no_trouble() {
    let model = model();
    let home = home(&model);
    let key = home.key("k");
    let server = home.serve();
    let (head, body) = house::wire(CHAT, &key, &CHAT.request(HONEST, false));
    let before = format!("{head}{}", &body[..9]);
    for said in [&head, &before] {
        let mut stream = house::connect(home.data_port);
        stream.write_all(said.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    }
    house::eventually("two bodies that were cut", || home_counts(&home, "body_cut"));
    assert!(model.seen().is_empty(), "half a request reached the model");
    // While the model works; and in the middle of its stream, while it is silent.
    for (name, streams) in [("slow", false), ("slow", true), ("pauses", true)] {
        for form in &form::ALL {
            let (head, body) = house::wire(form, &key, &form.request(name, streams));
            let asked = model.seen().len();
            let mut stream = house::connect(home.data_port);
            stream.write_all((head + &body).as_bytes()).unwrap();
            house::eventually("the model is asked", || model.seen().len() > asked);
            if name == "pauses" {
                let mut first = [0; 64];
                stream.read_exact(&mut first).unwrap();
            }
            drop(stream);
        }
    }
    house::eventually("twelve ends on record", || {
        let recorded = house::recorded(&home);
        recorded.values().filter(|entry| entry.cut.as_deref() == Some("client_gone")).count() == 12
    });
    after(server, &home, &key);
    assert_eq!(house::refusals(&home, "body_cut"), 2);
}

/// Whether the refusal is on record: the first of its kind is at once.
fn home_counts(home: &Home, code: &str) -> bool {
    house::refusals(home, code) > 0
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let model = model();
    let home = home(&model);
    house::patient(&home);
    let key = home.key("k");
    let server = home.serve();
    let responses = &form::ALL[2];
    let (head, body) = house::wire(responses, &key, &responses.request("pours", true));
    let mut stream = house::connect(home.data_port);
    stream.write_all((head + &body).as_bytes()).unwrap();
    house::eventually("its end is on record", || {
        let recorded = house::recorded(&home);
        recorded.values().any(|entry| entry.cut.as_deref() == Some("client_gone"))
    });
    let (bytes, _) = ends(&mut stream);
    assert!(!String::from_utf8_lossy(&bytes).contains("response.completed"));
    // One that reads gets all of it.
    let (head, body) = house::wire(responses, &key, &responses.request("pours", true));
    let mut reads = house::connect(home.data_port);
    reads.write_all((head + &body).as_bytes()).unwrap();
    let reply = read_reply(reads).unwrap();
    assert!(reply.text().contains("response.completed"), "{}", reply.text().len());
    after(server, &home, &key);
}

#[test]
fn a_client_that_sends_too_much_is_told_and_takes_no_memory() {
    let model = model();
    let home = home(&model);
    let key = home.key("k");
    let server = home.serve();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    (0..256).for_each(|_| gzip.write_all(&vec![b' '; 1 << 20]).unwrap());
    let bomb = gzip.finish().unwrap();
    let many = format!(r#"{{"model": "m", "messages": [{}0]}}"#, "0,".repeat(4 << 20)).into_bytes();
    let cases = [("gzip", bomb, 413, "body_too_large"), ("identity", many, 400, "malformed_json")];
    let bearer = format!("Bearer {key}");
    for (coding, body, status, code) in cases {
        let headers = [("authorization", bearer.as_str()), ("content-encoding", coding)];
        let reply = common::request(home.data_port, "POST", CHAT.path, &headers, &body).unwrap();
        assert_eq!((reply.status, form::code(&reply).as_deref()), (status, Some(code)));
    }
    house::bounded(&server, 512);
    after(server, &home, &key);
}

/// After a fault an honest request is served; after the end all is counted and verifies.
#[track_caller]
fn after(mut server: Server<'_>, home: &Home, key: &str) {
    house::serves(&server, key);
    house::verifies(home);
    server.signal("-TERM");
    assert!(server.child.wait().unwrap().success(), "{}", home.log());
    house::verifies(home);
}
