//! Upstreams that die, stall and lie: every fault in every protocol, whole and streamed.

use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpStream,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    common::{
        Home, Reply, Server, free_port,
        model::{Answer, Model},
    },
    form::{self, Form},
    house::{self, HONEST, SILENCE, TOTAL},
};

/// What comes of a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// An error with a status, instead of an answer.
    Error(u16, &'static str),
    /// An error as the last event of a stream.
    Event(&'static str),
}
use End::{Error, Event};

/// A fault: its name, and what comes of it in a whole answer and in a stream.
struct Fault {
    name: &'static str,
    whole: End,
    streamed: End,
    play: fn(&mut Wire),
}

/// The connection on which an answer is due.
struct Wire {
    stream: TcpStream,
    form: &'static Form,
    streams: bool,
}

impl Wire {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have hung up, which is its right.
        let _sent = self.stream.write_all(bytes.as_ref());
    }

    /// The head of an honest answer, with these fields in it.
    fn head(&mut self, fields: &str) {
        let kind = if self.streams { "text/event-stream" } else { "application/json" };
        self.send(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n{fields}\r\n"
        ));
    }

    /// The body of an honest answer.
    fn body(&self) -> Vec<u8> {
        let text = house::said();
        match self.streams {
            true => self.form.stream(&house::pieces(&text)).concat().into_bytes(),
            false => self.form.whole(&text).to_string().into_bytes(),
        }
    }

    /// Its first part, which ends within the secret.
    fn half(&self) -> Vec<u8> {
        let mut body = self.body();
        let at = body.windows(8).position(|part| part == &house::secret().as_bytes()[..8]);
        body.truncate(at.expect("it is in there") + 8);
        body
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()));
        self.send(bytes);
        self.send("\r\n");
    }

    /// A whole answer that is framed as it should be, and says this.
    fn says(&mut self, fields: &str, body: &[u8]) {
        self.head(&format!("{fields}content-length: {}\r\n", body.len()));
        self.send(body);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Packed once: a debug build takes longer for it than an upstream may be silent.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 16 << 20]));

const BROKE: End = Error(502, "upstream_broke_off");
const GARBAGE: End = Error(502, "upstream_garbage");

const FAULTS: &[Fault] = &[
    Fault { name: "dies-before-its-head", whole: BROKE, streamed: BROKE, play: |_| {} },
    Fault {
        name: "dies-within-its-head",
        whole: BROKE,
        streamed: BROKE,
        play: |wire| wire.send("HTTP/1.1 200 OK\r\ncontent-ty"),
    },
    Fault {
        name: "dies-after-its-head",
        whole: BROKE,
        streamed: Event("upstream_broke_off"),
        play: |wire| wire.head("content-length: 1000\r\n"),
    },
    Fault {
        name: "dies-in-the-middle",
        whole: BROKE,
        streamed: Event("upstream_broke_off"),
        play: |wire| {
            wire.head("transfer-encoding: chunked\r\n");
            wire.chunk(&wire.half());
        },
    },
    Fault {
        name: "dies-within-a-chunk",
        whole: BROKE,
        streamed: Event("upstream_broke_off"),
        play: |wire| {
            wire.head("transfer-encoding: chunked\r\n");
            wire.send("ffff\r\n");
            wire.send(wire.half());
        },
    },
    Fault {
        name: "stalls-before-its-head",
        whole: Error(504, "upstream_timeout"),
        streamed: Error(504, "upstream_timeout"),
        play: |_| sleep(2 * TOTAL),
    },
    Fault {
        name: "stalls-within-its-head",
        whole: Error(504, "upstream_timeout"),
        streamed: Error(504, "upstream_timeout"),
        play: |wire| {
            wire.send("HTTP/1.1 200 OK\r\ncontent-ty");
            sleep(2 * TOTAL);
        },
    },
    Fault {
        name: "stalls-after-its-head",
        whole: Error(504, "upstream_stalled"),
        streamed: Event("upstream_stalled"),
        play: |wire| {
            wire.head("content-length: 1000\r\n");
            sleep(2 * TOTAL);
        },
    },
    Fault {
        name: "stalls-in-the-middle",
        whole: Error(504, "upstream_stalled"),
        streamed: Event("upstream_stalled"),
        play: |wire| {
            wire.head("transfer-encoding: chunked\r\n");
            wire.chunk(&wire.half());
            sleep(2 * TOTAL);
        },
    },
    Fault {
        name: "drips",
        whole: Error(504, "upstream_too_slow"),
        streamed: Event("upstream_too_slow"),
        play: |wire| {
            wire.head("transfer-encoding: chunked\r\n");
            for byte in wire.body() {
                if wire.stream.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']).is_err() {
                    return;
                }
                sleep(SILENCE / 8);
            }
        },
    },
    Fault {
        name: "half-a-character",
        whole: GARBAGE,
        streamed: Event("upstream_cut"),
        play: |wire| wire.says("", &[&wire.half(), &"\u{1f600}".as_bytes()[..2]].concat()),
    },
    Fault {
        name: "half-an-event",
        whole: GARBAGE,
        streamed: Event("upstream_cut"),
        play: |wire| wire.says("", &wire.half()),
    },
    Fault {
        name: "no-end",
        whole: GARBAGE,
        streamed: Event("upstream_cut"),
        play: |wire| {
            let mut body = wire.body();
            let end = if wire.streams { "data: " } else { "}" };
            let at = body.windows(end.len()).rposition(|part| part == end.as_bytes());
            body.truncate(at.expect("it ends"));
            wire.says("", &body);
        },
    },
    Fault {
        name: "says-nothing",
        whole: GARBAGE,
        streamed: Event("upstream_cut"),
        play: |wire| wire.says("", b""),
    },
    Fault {
        name: "is-no-http",
        whole: GARBAGE,
        streamed: GARBAGE,
        play: |wire| wire.send(format!("SSH-2.0-model {}\r\n\r\n", house::secret())),
    },
    Fault {
        name: "has-an-endless-head",
        whole: GARBAGE,
        streamed: GARBAGE,
        play: |wire| {
            wire.send("HTTP/1.1 200 OK\r\n");
            let field = format!("x-more: {}\r\n", house::secret().repeat(500));
            (0..200).for_each(|_| wire.send(&field));
        },
    },
    Fault {
        name: "has-two-lengths",
        whole: GARBAGE,
        streamed: GARBAGE,
        play: |wire| {
            wire.head("content-length: 10\r\ncontent-length: 20\r\n");
            wire.send(wire.body());
        },
    },
    Fault {
        name: "is-no-json",
        whole: GARBAGE,
        streamed: Event("upstream_garbage"),
        play: |wire| {
            let text = house::said();
            let text = if wire.streams { format!("data: {text}\n\n") } else { text };
            wire.says("", text.as_bytes());
        },
    },
    Fault {
        name: "has-a-key-twice",
        whole: GARBAGE,
        streamed: Event("upstream_garbage"),
        play: |wire| {
            let text = format!(r#"{{"choices": [], "choices": "{}"}}"#, house::secret());
            let text = if wire.streams { format!("data: {text}\n\n") } else { text };
            wire.says("", text.as_bytes());
        },
    },
    Fault {
        name: "is-of-another-shape",
        whole: GARBAGE,
        streamed: Event("upstream_garbage"),
        play: |wire| {
            let text = json!([house::said()]).to_string();
            let text = if wire.streams { format!("data: {text}\n\n") } else { text };
            wire.says("", text.as_bytes());
        },
    },
    Fault {
        name: "is-no-text",
        whole: GARBAGE,
        streamed: Event("upstream_garbage"),
        play: |wire| {
            let noise: Vec<u8> = (0..4096_u32).map(|i| (i * 193 % 251) as u8 | 0x80).collect();
            wire.says("", &[b"data: ", &noise[..], b"\n\n"].concat());
        },
    },
    Fault {
        name: "is-longer-than-it-says",
        whole: GARBAGE,
        streamed: Event("upstream_cut"),
        play: |wire| {
            wire.head("content-length: 20\r\n");
            wire.send(wire.body());
        },
    },
    Fault {
        name: "is-shorter-than-it-says",
        whole: BROKE,
        // The end of the stream came, which is all that a client waits for.
        streamed: Event(""),
        play: |wire| {
            wire.head("content-length: 100000\r\n");
            wire.send(wire.body());
        },
    },
    Fault {
        name: "is-not-packed-as-it-says",
        whole: GARBAGE,
        streamed: Event("upstream_garbage"),
        play: |wire| wire.says("content-encoding: gzip\r\n", &wire.body()),
    },
    Fault {
        name: "is-packed-otherwise",
        whole: GARBAGE,
        streamed: GARBAGE,
        play: |wire| wire.says("content-encoding: br\r\n", &wire.body()),
    },
    Fault {
        name: "is-packed-and-cut",
        whole: GARBAGE,
        streamed: Event(""),
        play: |wire| {
            let packed = gzip(&wire.body());
            wire.says("content-encoding: gzip\r\n", &packed[..packed.len() - 6]);
        },
    },
    Fault {
        name: "is-a-bomb",
        whole: Error(502, "upstream_bomb"),
        streamed: Event("upstream_bomb"),
        play: |wire| wire.says("content-encoding: gzip\r\n", &BOMB),
    },
    Fault {
        name: "fails-and-tells-a-secret",
        whole: Error(502, "upstream_failed"),
        streamed: Error(502, "upstream_failed"),
        play: |wire| {
            let body = json!({"error": {"message": house::said(), "type": "x"}}).to_string();
            let length = body.len();
            wire.send(format!(
                "HTTP/1.1 500 {}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
                house::secret()
            ));
        },
    },
    Fault {
        name: "sends-elsewhere",
        whole: Error(502, "upstream_redirect"),
        streamed: Error(502, "upstream_redirect"),
        play: |wire| {
            wire.send(format!("HTTP/1.1 307 X\r\nconnection: close\r\nlocation: http://127.0.0.1/{}\r\ncontent-length: 0\r\n\r\n", house::secret()));
        },
    },
    Fault {
        name: "does-as-it-was-not-asked",
        whole: GARBAGE,
        streamed: Error(502, "upstream_does_not_stream"),
        play: |wire| {
            wire.streams = !wire.streams;
            let body = wire.body();
            wire.says("", &body);
        },
    },
];

fn model() -> Model {
    Model::new(|path, body| {
        let (form, streams) = (house::form_of(path), body["stream"] == true);
        let name = body["model"].as_str().unwrap().to_owned();
        if name == HONEST {
            return house::honest(form, streams);
        }
        let fault = FAULTS.iter().find(|fault| fault.name == name).expect("a fault of ours");
        Answer::Play(Box::new(move |stream| {
            (fault.play)(&mut Wire { stream: stream.try_clone().unwrap(), form, streams });
        }))
    })
}

/// How an answer differs from what should come of a fault.
fn problem(end: End, reply: &Reply) -> Option<String> {
    let code = form::code(reply).unwrap_or_default();
    let right = match end {
        Error(status, said) => {
            reply.status == status
                && code == said
                && reply.header("content-type") == Some("application/json")
        }
        // A stream that ends with an error must not look whole.
        Event(said) => {
            let whole = reply.text().contains("[DONE]");
            reply.status == 200 && code == said && (said.is_empty() || !whole)
        }
    };
    (!right).then(|| format!("{} `{code}` in place of {end:?}: {}", reply.status, reply.text()))
}

/// What should be on record.
fn code_of(end: End) -> Option<&'static str> {
    match end {
        Error(_, code) | Event(code) => Some(code).filter(|code| !code.is_empty()),
    }
}

/// Runs these on a few threads.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

fn id(reply: &Reply) -> String {
    reply.header("x-bartizan-request-id").expect("every answer has an id").to_owned()
}

#[test]
fn whatever_an_upstream_does_is_an_error_of_its_own_and_leaks_nothing() {
    assert!(!BOMB.is_empty());
    let model = model();
    let home = house::home(&model, "", "");
    let key = home.key("k");
    let server = home.serve();
    let cases: Vec<(&Fault, &'static Form, bool)> = FAULTS
        .iter()
        .flat_map(|fault| form::ALL.iter().map(move |form| (fault, form)))
        .flat_map(|(fault, form)| [false, true].map(|stream| (fault, form, stream)))
        .collect();
    let ended = Mutex::new(BTreeMap::new());
    let wrong = Mutex::new(Vec::new());
    each(&cases, |(fault, form, stream)| {
        let reply = house::ask(&server, form, &key, fault.name, *stream);
        let at = format!("{} {} stream={stream}", fault.name, form.name);
        let end = if *stream { fault.streamed } else { fault.whole };
        if let Some(problem) = problem(end, &reply) {
            wrong.lock().unwrap().push(format!("{at}: {problem}"));
        }
        ended.lock().unwrap_or_else(PoisonError::into_inner).insert(id(&reply), (at, end));
        house::serves_form(&server, &key, form, *stream);
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (ended, recorded) = (ended.into_inner().unwrap(), house::recorded(&home));
    for (id, (at, end)) in &ended {
        let entry = recorded.get(id).unwrap_or_else(|| panic!("{at}: it is not in the ledger"));
        assert!(entry.decided, "{at}: {entry:?}");
        assert_eq!(entry.cut.as_deref(), code_of(*end), "{at}: {entry:?}");
    }
    assert_eq!(ended.len(), cases.len());
    println!("{} faults of upstreams", cases.len());
    house::verifies(&home);
    drop(server);
    house::verifies(&home);
}

#[test]
fn an_upstream_that_is_not_there_is_told_apart_and_left_alone() {
    let model =
        Model::new(|path, body| house::honest(house::form_of(path), body["stream"] == true));
    let gone = free_port();
    let home = house::home(
        &model,
        "",
        &format!(
            "[routes.gone]\nmodels = [\"gone\"]\n[[routes.gone.targets]]\nurl = \"http://127.0.0.1:{gone}\"\n\
             retries_max = 0\nbreaker_failures = 2\nbreaker_ms = 60000\n"
        ),
    );
    let key = home.key("k");
    let server = home.serve();
    let ask = |server: &Server<'_>| {
        let reply = house::ask(server, &form::ALL[0], &key, "gone", false);
        (reply.status, form::code(&reply).unwrap(), id(&reply))
    };
    let ends = [ask(&server), ask(&server), ask(&server)];
    assert_eq!(
        ends.each_ref().map(|(status, code, _)| (*status, code.as_str())),
        [(502, "upstream_unreachable"), (502, "upstream_unreachable"), (503, "upstream_resting")]
    );
    recorded_as(&home, &ends);
    house::serves(&server, &key);
    house::verifies(&home);
}

#[track_caller]
fn recorded_as(home: &Home, ends: &[(u16, String, String)]) {
    let recorded = house::recorded(home);
    for (status, code, id) in ends {
        let entry = recorded.get(id).expect("it is in the ledger");
        assert_eq!((entry.status, entry.cut.as_deref()), (u64::from(*status), Some(code.as_str())));
    }
}
