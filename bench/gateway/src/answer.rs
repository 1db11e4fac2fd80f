//! Reads answers off a connection with as little work as they need, and judges them.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The longest head of an answer. LIMIT: a server that never ends its head is an error.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How many different good bodies are remembered, to be compared instead of parsed.
const KNOWN_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many bytes of the body are still to come.
    Body(usize),
    ChunkSize,
    /// So many bytes of a chunk, with the line end behind it.
    Chunk(usize),
    /// The line behind the last chunk.
    Trailer,
    Done,
}

/// Takes an answer's bytes as they come.
#[derive(Debug)]
pub struct Decoder {
    pending: Vec<u8>,
    at: usize,
    stage: Stage,
    pub status: u16,
    pub body: Vec<u8>,
}

impl Decoder {
    pub fn new() -> Self {
        Self { pending: Vec::new(), at: 0, stage: Stage::Head, status: 0, body: Vec::new() }
    }

    /// Makes ready for the connection's next answer.
    pub fn reset(&mut self) -> Result<()> {
        ensure!(self.at == self.pending.len(), "there are bytes behind the answer");
        self.pending.clear();
        self.body.clear();
        (self.at, self.stage, self.status) = (0, Stage::Head, 0);
        Ok(())
    }

    /// Takes bytes; whether the answer is whole now.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        self.pending.extend_from_slice(bytes);
        while self.step()? {}
        Ok(self.stage == Stage::Done)
    }

    /// Whether the head is there, for answers that do not end.
    pub fn begun(&self) -> bool {
        self.stage != Stage::Head
    }

    fn rest(&self) -> &[u8] {
        self.pending.get(self.at..).unwrap_or_default()
    }

    fn step(&mut self) -> Result<bool> {
        match self.stage {
            Stage::Head => self.head(),
            Stage::Body(left) => Ok(self.body(left)),
            Stage::ChunkSize => self.chunk_size(),
            Stage::Chunk(size) => self.chunk(size),
            Stage::Trailer => self.trailer(),
            Stage::Done => Ok(false),
        }
    }

    fn head(&mut self) -> Result<bool> {
        let Some(end) = self.rest().windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(self.rest().len() <= HEAD_BYTES_MAX, "the head is too long");
            return Ok(false);
        };
        let head = std::str::from_utf8(self.rest().get(..end).unwrap_or_default())?;
        let (status, stage) = read_head(head)?;
        (self.status, self.stage) = (status, stage);
        self.at += end + 4;
        Ok(true)
    }

    fn body(&mut self, left: usize) -> bool {
        let part = left.min(self.rest().len());
        self.take(part);
        self.stage = if part == left { Stage::Done } else { Stage::Body(left - part) };
        false
    }

    fn chunk_size(&mut self) -> Result<bool> {
        let Some(line) = self.line()? else { return Ok(false) };
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).context("a chunk has no size")?;
        self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk(size) };
        Ok(true)
    }

    fn chunk(&mut self, size: usize) -> Result<bool> {
        if self.rest().len() < size + 2 {
            return Ok(false);
        }
        self.take(size);
        ensure!(self.rest().starts_with(b"\r\n"), "a chunk is longer than it said");
        self.at += 2;
        self.stage = Stage::ChunkSize;
        Ok(true)
    }

    fn trailer(&mut self) -> Result<bool> {
        let Some(line) = self.line()? else { return Ok(false) };
        if line.is_empty() {
            self.stage = Stage::Done;
        }
        Ok(true)
    }

    fn take(&mut self, bytes: usize) {
        let end = self.at + bytes;
        self.body.extend_from_slice(self.pending.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    fn line(&mut self) -> Result<Option<String>> {
        let Some(end) = self.rest().iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line =
            std::str::from_utf8(self.rest().get(..end).unwrap_or_default())?.trim_end().to_owned();
        self.at += end + 1;
        Ok(Some(line))
    }
}

fn read_head(head: &str) -> Result<(u16, Stage)> {
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status line")?;
    let mut stage = None;
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        // The prompts are honest: a rule that fires would make the figures those of its action.
        if name.eq_ignore_ascii_case("x-bartizan-verdict") {
            ensure!(value == "allow", "Bartizan's verdict is `{value}`");
        }
        if name.eq_ignore_ascii_case("content-length") {
            stage = Some(Stage::Body(value.parse()?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            stage = Some(Stage::ChunkSize);
        }
    }
    let stage = stage.with_context(|| format!("status {status} without length or chunks"))?;
    Ok((status, stage))
}

/// Judges whether answers are whole. It remembers good bodies, since most are alike.
#[derive(Debug)]
pub struct Judge {
    streamed: bool,
    text: String,
    known: Vec<Vec<u8>>,
}

impl Judge {
    pub fn new(streamed: bool, text: String) -> Self {
        Self { streamed, text, known: Vec::new() }
    }

    pub fn judge(&mut self, status: u16, body: &[u8]) -> Result<()> {
        if status != 200 {
            bail!("status {status}: {}", shown(body));
        }
        if self.known.iter().any(|known| known == body) {
            return Ok(());
        }
        let said = if self.streamed { said_in_stream(body) } else { said_whole(body) };
        let said = said.with_context(|| shown(body))?;
        ensure!(said == self.text, "the answer says `{said}`");
        if self.known.len() < KNOWN_MAX {
            self.known.push(body.to_vec());
        }
        Ok(())
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}

fn said_whole(body: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(body)?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    Ok(text.context("no content")?.to_owned())
}

fn said_in_stream(body: &[u8]) -> Result<String> {
    let body = std::str::from_utf8(body)?;
    let events: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let Some(("[DONE]", events)) = events.split_last().map(|(last, rest)| (*last, rest)) else {
        bail!("the stream does not end with [DONE]");
    };
    let mut said = String::new();
    for event in events {
        let event: Value = serde_json::from_str(event)?;
        said +=
            event.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or_default();
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds it in parts of every size; status and body.
    #[track_caller]
    fn decode(answer: &[u8]) -> (u16, String) {
        for size in 1..=answer.len() {
            let mut decoder = Decoder::new();
            let mut done = false;
            for part in answer.chunks(size) {
                assert!(!done, "done too early in parts of {size}");
                done = decoder.feed(part).unwrap();
            }
            assert!(done, "not done in parts of {size}");
            if size == answer.len() {
                return (decoder.status, String::from_utf8(decoder.body).unwrap());
            }
        }
        unreachable!("an empty answer")
    }

    #[test]
    fn reads_a_length() {
        let answer = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(decode(answer), (200, "hello".to_owned()));
        assert_eq!(decode(b"HTTP/1.1 429 X\r\ncontent-length: 1\r\n\r\n!"), (429, "!".to_owned()));
    }

    #[test]
    fn reads_chunks() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(decode(answer), (200, "abc0123456789".to_owned()));
    }

    #[test]
    fn reads_an_empty_body() {
        assert_eq!(decode(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), (200, String::new()));
    }

    #[test]
    fn is_used_again() {
        let mut decoder = Decoder::new();
        for _ in 0..3 {
            assert!(decoder.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap());
            decoder.reset().unwrap();
        }
        decoder.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok more").unwrap();
        assert!(decoder.reset().is_err());
    }

    #[test]
    fn refuses_what_has_no_end_or_no_sense() {
        assert!(Decoder::new().feed(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Decoder::new().feed(b"hello\r\n\r\n").is_err());
        let annotated =
            b"HTTP/1.1 200 OK\r\nx-bartizan-verdict: annotate\r\ncontent-length: 0\r\n\r\n";
        assert!(Decoder::new().feed(annotated).is_err());
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(Decoder::new().feed(format!("{chunked}zz\r\n").as_bytes()).is_err());
        assert!(Decoder::new().feed(format!("{chunked}1\r\nabc\r\n").as_bytes()).is_err());
    }

    #[test]
    fn judges_whole_answers() {
        let mut judge = Judge::new(false, "hi".to_owned());
        let good = br#"{"choices":[{"message":{"content":"hi"}}]}"#;
        judge.judge(200, good).unwrap();
        judge.judge(200, good).unwrap();
        assert!(judge.judge(403, good).is_err());
        assert!(judge.judge(200, br#"{"choices":[{"message":{"content":"h"}}]}"#).is_err());
        assert!(judge.judge(200, b"{}").is_err());
    }

    #[test]
    fn judges_streams() {
        let mut judge = Judge::new(true, "hi".to_owned());
        let piece = |text: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        };
        let cut = piece("h") + &piece("i");
        assert!(judge.judge(200, cut.as_bytes()).is_err());
        judge.judge(200, (cut.clone() + "data: [DONE]\n\n").as_bytes()).unwrap();
        judge.judge(200, (piece("hi") + "data: [DONE]\n\n").as_bytes()).unwrap();
        assert!(judge.judge(200, (piece("h") + "data: [DONE]\n\n").as_bytes()).is_err());
    }
}
