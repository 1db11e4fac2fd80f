//! The mock model: HTTP/1.1 with keep-alive on one thread, with prepared answers, so
//! that as little as possible of the machine goes to it.

use std::rc::Rc;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// How many connections may wait to be accepted; many streams are opened at once.
const BACKLOG: u32 = 4096;
/// The largest request that is read. LIMIT: the benchmark sends 16 kB.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// How far from either end of a body `"stream":true` is looked for.
const LOOK_BYTES: usize = 400;

/// What the model says, 20 pieces when it is streamed.
pub const PIECES: [&str; 20] = [
    "The", " harvest", " was", " good", " this", " year,", " so", " the", " village", " stored",
    " its", " grain", " in", " the", " old", " mill", " beside", " the", " quiet", " river.",
];

pub fn text() -> String {
    PIECES.concat()
}

/// Serves until it is killed. A silent model begins every answer, then says no more.
pub async fn serve(port: u16, silent: bool) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let answers = Rc::new(Answers::new());
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let answers = answers.clone();
                tokio::task::spawn_local(async move {
                    // A client that goes away ends its connection, nothing else.
                    let _ended = converse(stream, &answers, silent).await;
                });
            }
        })
        .await
}

struct Answers {
    whole: Vec<u8>,
    /// The head with the first event, every further event, and the end.
    streamed: Vec<Vec<u8>>,
}

impl Answers {
    fn new() -> Self {
        Self { whole: whole(), streamed: streamed() }
    }
}

fn whole() -> Vec<u8> {
    let body = json!({
        "id": "chatcmpl-0123456789abcdefghijklmn", "object": "chat.completion",
        "created": 1_700_000_000, "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text(), "refusal": null},
                     "logprobs": null, "finish_reason": "stop"}],
        "usage": usage(), "service_tier": "default", "system_fingerprint": "fp_0123456789",
    })
    .to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn usage() -> Value {
    json!({"prompt_tokens": 200, "completion_tokens": 20, "total_tokens": 220,
           "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
           "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}})
}

fn streamed() -> Vec<Vec<u8>> {
    let event = |choices: Value, usage: Value| {
        json!({"id": "chatcmpl-0123456789abcdefghijklmn", "object": "chat.completion.chunk",
               "created": 1_700_000_000, "model": "bench", "choices": choices, "usage": usage})
    };
    let choice =
        |delta: Value, end: Value| json!([{"index": 0, "delta": delta, "finish_reason": end}]);
    let mut events: Vec<Value> = PIECES
        .iter()
        .map(|piece| {
            event(choice(json!({"role": "assistant", "content": piece}), Value::Null), Value::Null)
        })
        .collect();
    events.push(event(choice(json!({}), json!("stop")), Value::Null));
    events.push(event(json!([]), usage()));
    let mut writes: Vec<Vec<u8>> = events.iter().map(|event| chunk(&event.to_string())).collect();
    writes.push([chunk("[DONE]"), b"0\r\n\r\n".to_vec()].concat());
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if let Some(first) = writes.first_mut() {
        first.splice(0..0, head.bytes());
    }
    writes
}

fn chunk(data: &str) -> Vec<u8> {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

async fn converse(mut stream: TcpStream, answers: &Answers, silent: bool) -> Result<()> {
    let mut buffer = Vec::with_capacity(if silent { 2048 } else { 32 * 1024 });
    while let Some(streams) = request(&mut stream, &mut buffer).await? {
        if silent {
            stream.write_all(answers.streamed.first().map_or(&[], Vec::as_slice)).await?;
            // Waits for the other side to close.
            buffer = Vec::new();
            stream.read_buf(&mut buffer).await?;
            return Ok(());
        }
        if !streams {
            stream.write_all(&answers.whole).await?;
            continue;
        }
        // A write an event, as models do, and others get their turn in between.
        for event in &answers.streamed {
            stream.write_all(event).await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Reads one request; whether it asks for a stream, or nothing when the client is gone.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<bool>> {
    buffer.clear();
    let (body, end) = loop {
        if stream.read_buf(buffer).await? == 0 || buffer.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
        if let Some(bounds) = bounds(buffer) {
            break bounds;
        }
    };
    while buffer.len() < end {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(buffer.get(body..end).is_some_and(asks_stream)))
}

/// Where the body begins and ends, once the head is there.
fn bounds(request: &[u8]) -> Option<(usize, usize)> {
    let body = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(request.get(..body)?).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some((body, body + length.unwrap_or(0)))
}

fn asks_stream(body: &[u8]) -> bool {
    let first = body.get(..LOOK_BYTES.min(body.len())).unwrap_or_default();
    let last = body.get(body.len().saturating_sub(LOOK_BYTES)..).unwrap_or_default();
    [first, last].iter().any(|part| {
        part.windows(13).any(|w| w == br#""stream":true"#)
            || part.windows(14).any(|w| w == br#""stream": true"#)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_body_and_what_it_asks_for() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"stream\":true}";
        let (body, end) = bounds(request).unwrap();
        assert_eq!(end, request.len());
        assert!(asks_stream(&request[body..end]));
        assert!(!asks_stream(b"{\"stream\": false}"));
        assert!(asks_stream(b"{\"stream\": true}"));
        assert_eq!(bounds(b"POST / HTTP/1.1\r\n"), None);
    }

    #[test]
    fn answers_have_the_size_they_claim() {
        let answers = Answers::new();
        let body = answers.whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert!((500..700).contains(&(answers.whole.len() - body)));
        assert_eq!(answers.streamed.len(), PIECES.len() + 3);
    }
}
