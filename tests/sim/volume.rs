//! A gigabyte from upstream, in every shape that there is: the gateway stops at its
//! bound, says so, and never holds more than a stated part of it.

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    common::model::{Answer, Model},
    form,
    house::{self, HONEST},
};

/// What is on offer.
const OFFERED: u64 = 1 << 30;
/// The largest answer that is accepted: the default, or a part of it that a debug build
/// reads in seconds.
fn answer_mib() -> u64 {
    if std::env::var_os("BARTIZAN_FULL_SIZE").is_some() { 32 } else { 4 }
}

/// The most that the server may hold, in MiB.
const HELD_MIB: u64 = 500;

/// A shape: its name, whether it is a stream, its head, what repeats, and the error.
type Shape = (&'static str, bool, String, String, &'static str);

fn shapes() -> Vec<Shape> {
    let words = "Mix flour, water, salt and yeast. ".repeat(2000);
    let chunk = |text: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        )
    };
    // One event has a bound of its own, of 8 MiB.
    let event = if answer_mib() > 8 { "upstream_garbage" } else { "upstream_too_long" };
    let content = "{\"choices\":[{\"message\":{\"content\":\"".to_owned();
    vec![
        ("one-text", false, content, words.clone(), "upstream_too_long"),
        ("one-list", false, "{\"choices\":[0".to_owned(), ",0".repeat(30_000), "upstream_too_long"),
        ("one-line", true, "data: ".to_owned(), words.clone(), event),
        ("many-lines", true, String::new(), "data: sixteen letters.\n".repeat(3000), event),
        ("comments", true, String::new(), ": x\n\n".repeat(12_000), "upstream_too_long"),
        ("large-events", true, String::new(), chunk(&words), "upstream_too_long"),
        ("small-events", true, String::new(), chunk("").repeat(800), "upstream_too_long"),
        ("no-event", true, "data: {\"choices\":[0".to_owned(), ",0".repeat(30_000), event),
    ]
}

/// Pours until the gigabyte is out or the gateway has hung up; how much went.
fn pour(stream: &mut TcpStream, streams: bool, head: &str, again: &str) -> u64 {
    let kind = if streams { "text/event-stream" } else { "application/json" };
    let _sent = stream.write_all(
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n\r\n{head}")
            .as_bytes(),
    );
    let mut sent = 0;
    while sent < OFFERED && stream.write_all(again.as_bytes()).is_ok() {
        sent += again.len() as u64;
    }
    sent
}

#[test]
fn a_gigabyte_is_stopped_at_the_bound_and_held_nowhere() {
    let poured = Arc::new(AtomicU64::new(0));
    let counter = poured.clone();
    let model = Model::new(move |path, body| {
        let name = body["model"].as_str().unwrap().to_owned();
        let (form, streams) = (house::form_of(path), body["stream"] == true);
        if name == HONEST {
            return house::honest(form, streams);
        }
        let counter = counter.clone();
        Answer::Play(Box::new(move |stream| {
            let shapes = shapes();
            let (_, _, head, again, _) = shapes.iter().find(|shape| shape.0 == name).unwrap();
            counter.store(pour(stream, streams, head, again), Ordering::SeqCst);
        }))
    });
    let data = format!("answer_bytes_max = {}\n", answer_mib() << 20);
    let home = house::home(&model, &data, "");
    house::patient(&home);
    let key = home.key("k");
    let server = home.serve();
    let chat = &form::ALL[0];
    for (name, streams, _, _, code) in shapes() {
        let bytes = house::wire(chat, &key, &chat.request(name, streams));
        let mut connection = house::connect(home.data_port);
        connection.set_read_timeout(Some(std::time::Duration::from_secs(90))).unwrap();
        connection.write_all((bytes.0 + &bytes.1).as_bytes()).unwrap();
        let reply =
            crate::common::read_reply(&connection).unwrap_or_else(|e| panic!("{name}: {e}"));
        let said = form::code(&reply);
        assert_eq!(
            said.as_deref(),
            Some(code),
            "{name}: {}",
            reply.text().get(..300).unwrap_or("")
        );
        assert_eq!(reply.status, if streams { 200 } else { 502 }, "{name}");
        println!("{name}: held so far {:?} MiB", house::memory_mib(&server));
        house::eventually("it hung up", || poured.load(Ordering::SeqCst) > 0);
        let taken = poured.swap(0, Ordering::SeqCst) >> 20;
        // What stands in the buffers of two sockets is taken, too.
        assert!(taken <= answer_mib() + 16, "{name}: {taken} MiB were taken");
        house::serves_form(&server, &key, chat, streams);
    }
    house::bounded(&server, HELD_MIB);
    let recorded = house::recorded(&home);
    assert_eq!(recorded.values().filter(|entry| entry.cut.is_some()).count(), shapes().len());
    house::verifies(&home);
}
