//! An installation with short limits before a model that misbehaves by name, and
//! what must hold after every fault.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    common::{
        Home, Reply, Server,
        model::{Answer, Model},
        read_reply,
    },
    form::{self, Form},
};

/// How long an upstream may be silent, before its answer and within it.
pub(crate) const SILENCE: Duration = Duration::from_millis(1500);
/// How long an answer may take as a whole.
pub(crate) const TOTAL: Duration = Duration::from_secs(5);
/// What a busy machine may add to a bound before we call it a hang.
pub(crate) const SLACK: Duration = Duration::from_secs(20);
/// The model that answers as it should.
pub(crate) const HONEST: &str = "honest";

/// An access key of the right form, made here so that it stands nowhere in one piece.
pub(crate) fn secret() -> String {
    format!("{}{}", "AKIA", "Z7Q3M5XKLP2WN4RT")
}

/// What every upstream of these tests says: a text with a secret in its middle.
pub(crate) fn said() -> String {
    format!("Mix flour and water. The key is {}, as you asked. Let it rest for an hour.", secret())
}

/// The same in pieces, the secret cut in the middle.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let middle = text.find("AKIA").expect("a secret") + 8;
    let (head, tail) = text.split_at(middle);
    head.split_inclusive(' ').chain(tail.split_inclusive(' ')).collect()
}

/// Target settings of the bounds above; no retries, no rests, so that each fault is seen.
pub(crate) fn bounds() -> String {
    format!(
        "connect_ms_max = 1000\nfirst_byte_ms_max = {0}\nidle_ms_max = {0}\ntotal_ms_max = {1}\n\
         retries_max = 0\nbreaker_failures = 0\n",
        SILENCE.as_millis(),
        TOTAL.as_millis()
    )
}

/// An installation whose target has these bounds, with settings for `[data]`.
pub(crate) fn home(model: &Model, data: &str, more: &str) -> Home {
    let home = Home::new(&model.url(), &format!("{}{more}", bounds()));
    let config = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(home.config(), config.replace("[admin]", &format!("{data}[admin]"))).unwrap();
    home
}

/// The same with a minute for a whole answer, where much is sent and time is not tested.
pub(crate) fn patient(home: &Home) {
    let config = std::fs::read_to_string(home.config()).unwrap();
    let total = |ms| format!("total_ms_max = {ms}\n");
    let patient = config.replace(&total(TOTAL.as_millis()), &total(60_000));
    assert_ne!(config, patient);
    std::fs::write(home.config(), patient).unwrap();
}

/// What an honest model answers.
pub(crate) fn honest(form: &Form, stream: bool) -> Answer {
    let text = said();
    match stream {
        true => Answer::Events(form.stream(&pieces(&text))),
        false => Answer::Json(200, form.whole(&text)),
    }
}

/// The protocol of a request that reached the model.
pub(crate) fn form_of(path: &str) -> &'static Form {
    form::ALL.iter().find(|form| form.path == path).expect("a path of ours")
}

/// Whether any part of the secret that nobody could have guessed is in there.
pub(crate) fn leaks(bytes: &[u8]) -> bool {
    let secret = secret();
    let part = secret.get(4..12).unwrap();
    String::from_utf8_lossy(bytes).contains(part)
}

/// The head of a request and its body, as they go over the wire.
pub(crate) fn wire(form: &Form, key: &str, body: &Value) -> (String, String) {
    let body = body.to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        form.path,
        body.len()
    );
    (head, body)
}

/// A connection that gives up after a while, so that a hang is a failure.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(TOTAL + SLACK)).unwrap();
    stream.set_write_timeout(Some(TOTAL + SLACK)).unwrap();
    stream
}

/// Sends a request and reads all that comes back: nothing in it leaks, and it comes in time.
#[track_caller]
pub(crate) fn ask(server: &Server<'_>, form: &Form, key: &str, model: &str, stream: bool) -> Reply {
    let started = Instant::now();
    let (head, body) = wire(form, key, &form.request(model, stream));
    let mut connection = connect(server.home.data_port);
    connection.write_all((head + &body).as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let read = connection.read_to_end(&mut bytes);
    let at = format!("{model} {} stream={stream}", form.name);
    let took = started.elapsed();
    read.unwrap_or_else(|e| panic!("{at}: {e} after {took:?}"));
    assert!(took < TOTAL + SLACK, "{at}: it took {took:?}");
    let text = String::from_utf8_lossy(&bytes);
    assert!(!leaks(&bytes), "{at}: an unscreened byte went out: {text}");
    read_reply(&bytes[..]).unwrap_or_else(|e| panic!("{at}: {e}: {text}"))
}

/// An honest request is served, whole and redacted.
#[track_caller]
pub(crate) fn serves(server: &Server<'_>, key: &str) {
    for (form, stream) in [(&form::ALL[0], false), (&form::ALL[3], true)] {
        serves_form(server, key, form, stream);
    }
}

#[track_caller]
pub(crate) fn serves_form(server: &Server<'_>, key: &str, form: &Form, stream: bool) {
    let reply = ask(server, form, key, HONEST, stream);
    assert_eq!(reply.status, 200, "{}: {}", form.name, reply.text());
    let heard = form.heard(&reply, stream);
    let redacted = heard.contains("The key is [REDACTED:") && heard.ends_with("for an hour.");
    assert!(redacted, "{} stream={stream}: {heard:?} of {}", form.name, reply.text());
}

/// The ledger verifies, offline.
#[track_caller]
pub(crate) fn verifies(home: &Home) {
    let verify = home.run(&["ledger", "verify"]);
    let said = [verify.stdout, verify.stderr].concat();
    assert!(verify.status.success(), "{}\n{}", String::from_utf8_lossy(&said), home.log());
}

/// What the ledger has of each request: whether it was decided, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) decided: bool,
    pub(crate) status: u64,
    pub(crate) cut: Option<String>,
}

pub(crate) fn recorded(home: &Home) -> BTreeMap<String, Recorded> {
    let mut requests: BTreeMap<String, Recorded> = BTreeMap::new();
    for entry in entries(home) {
        let subject = entry["subject"].as_str().unwrap_or_default();
        let Some(id) = subject.strip_prefix("request:") else { continue };
        let request = requests.entry(id.to_owned()).or_default();
        if entry["kind"] == "gateway.decision" {
            request.decided = true;
        } else {
            request.status = entry["body"]["status"].as_u64().unwrap_or(0);
            request.cut = entry["body"]["cut"].as_str().map(str::to_owned);
        }
    }
    requests
}

/// How many refusals of this code the ledger counts.
pub(crate) fn refusals(home: &Home, code: &str) -> u64 {
    let entries = entries(home).into_iter();
    let own = entries.filter(|e| e["kind"] == "gateway.refusal" && e["body"]["code"] == code);
    own.filter_map(|entry| entry["body"]["count"].as_u64()).sum()
}

fn entries(home: &Home) -> Vec<Value> {
    let out = home.run(&["ledger", "entries", "--format", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["entry"].take()).collect()
}

/// Waits until this holds: what a test may not sleep for.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + TOTAL + SLACK;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// The most memory that the server has ever held, in MiB; none where the system does not say.
pub(crate) fn memory_mib(server: &Server<'_>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
}

/// It never held more than so many MiB.
#[track_caller]
pub(crate) fn bounded(server: &Server<'_>, mib: u64) {
    match memory_mib(server) {
        Some(held) => {
            println!("the server held {held} MiB at the most");
            assert!(held <= mib, "the server held {held} MiB, and {mib} is the bound");
        }
        None => eprintln!("!! SKIPPED: the system does not say how much memory a process holds"),
    }
}
