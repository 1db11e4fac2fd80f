//! A model endpoint for tests, on a thread of its own: it answers every request
//! with what a closure makes of it, and remembers what reached it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

/// What the model does with one request.
pub enum Answer {
    /// A status and a JSON body.
    Json(u16, Value),
    /// Server-sent events, one a string, each in a write of its own; no terminator is added.
    Events(Vec<String>),
    /// These bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Whatever is done with the connection, which then closes.
    Play(Box<dyn FnOnce(&mut TcpStream) + Send>),
}

type Behaviour = dyn Fn(&str, &Value) -> Answer + Send + Sync;

/// A running model.
pub struct Model {
    pub port: u16,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    /// A model that behaves so. It runs until the process ends.
    pub fn new(behaviour: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Self {
        Self::on(0, behaviour)
    }

    /// The same on a port of one's choice; 0 takes any that is free.
    #[track_caller]
    pub fn on(
        port: u16,
        behaviour: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|e| panic!("port {port}: {e}"));
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behaviour, log) = (behaviour.clone(), log.clone());
                std::thread::spawn(move || while answer(&stream, &*behaviour, &log).is_some() {});
            }
        });
        Self { port, seen }
    }

    /// A model that says `text`, streamed by words when asked to.
    pub fn saying(text: &str) -> Self {
        let text = text.to_owned();
        Self::new(move |_, body| say(&text, body))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Path and body of every request so far.
    pub fn seen(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().clone()
    }
}

/// An OpenAI chat answer of `text`, streamed when the request asks for it.
pub fn say(text: &str, body: &Value) -> Answer {
    if body["stream"] == true {
        let pieces: Vec<&str> = text.split_inclusive(' ').collect();
        return Answer::Events(stream_of(&pieces));
    }
    Answer::Json(
        200,
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        }),
    )
}

/// The events of a chat stream whose content comes in these pieces.
pub fn stream_of(pieces: &[&str]) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut events = vec![format!(
        "data: {}\n\n",
        chunk(json!({"role": "assistant", "content": ""}), Value::Null)
    )];
    events.extend(
        pieces
            .iter()
            .map(|piece| format!("data: {}\n\n", chunk(json!({"content": piece}), Value::Null))),
    );
    events.push(format!("data: {}\n\n", chunk(json!({}), json!("stop"))));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn answer(
    stream: &TcpStream,
    behaviour: &Behaviour,
    log: &Mutex<Vec<(String, Value)>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    log.lock().unwrap().push((path.clone(), body.clone()));
    write(stream, behaviour(&path, &body))
}

fn write(mut stream: &TcpStream, answer: Answer) -> Option<()> {
    match answer {
        Answer::Json(status, body) => {
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).ok()
        }
        Answer::Events(events) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
            for event in events {
                stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).ok()?;
            }
            stream.write_all(b"0\r\n\r\n").ok()
        }
        Answer::Raw(bytes) => {
            stream.write_all(&bytes).ok()?;
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            None
        }
        Answer::Play(play) => {
            let mut stream = stream.try_clone().ok()?;
            play(&mut stream);
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            None
        }
    }
}
