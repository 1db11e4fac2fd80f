//! What black-box tests share: the real binary on its own directory and ports, a
//! model that answers as told, and a plain HTTP client.

#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

pub mod model;

use std::{
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_bartizan");
/// How long a server may take to answer `/readyz`. Generous: these tests judge
/// what happens, not how fast.
const READY_MAX: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An installation: a directory with a configuration and data.
pub struct Home {
    pub dir: tempfile::TempDir,
    pub data_port: u16,
    pub admin_port: u16,
}

impl Home {
    /// Writes a configuration with one route `chat` to `upstream` for every model,
    /// followed by `more` TOML.
    pub fn new(upstream: &str, more: &str) -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
            data_port: free_port(),
            admin_port: free_port(),
        };
        home.configure(upstream, more);
        home
    }

    pub fn configure(&self, upstream: &str, more: &str) {
        let config = format!(
            "data_dir = \"{}\"\n[data]\nlisten = \"127.0.0.1:{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n\
             [net]\nallow = [\"127.0.0.1\"]\n[routes.chat]\nmodels = [\"*\"]\n\
             [[routes.chat.targets]]\nurl = \"{upstream}\"\n{more}",
            self.data().display(),
            self.data_port,
            self.admin_port,
        );
        std::fs::write(self.config(), config).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("bartizan.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        command(self.dir.path()).arg("--config").arg(self.config()).args(args).output().unwrap()
    }

    /// Runs a verb that must succeed; its standard output as JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--format", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Makes a key; the secret.
    #[track_caller]
    pub fn key(&self, name: &str) -> String {
        self.json(&["keys", "create", name])["secret"].as_str().expect("a secret").to_owned()
    }

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub fn serve(&self) -> Server<'_> {
        self.serve_under("")
    }

    /// The same in a shell that has done this before, such as to set a limit.
    #[track_caller]
    pub fn serve_under(&self, preamble: &str) -> Server<'_> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let before = log.metadata().unwrap().len();
        let mut command = command(self.dir.path());
        if !preamble.is_empty() {
            let program = std::mem::replace(&mut command, own_environment(Command::new("sh")));
            let script = format!("{preamble}\nexec \"$0\" \"$@\"");
            command.current_dir(self.dir.path()).arg("-c").arg(script).arg(program.get_program());
        }
        let child = command
            .stdin(Stdio::null())
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { home: self, child };
        let until = Instant::now() + READY_MAX;
        loop {
            // It answers a moment before it has said everything and listens to signals.
            if get(self.admin_port, "/readyz", &[]).is_ok_and(|reply| reply.status == 200)
                && self.said_since(before).contains("\"message\":\"serving\"")
            {
                return server;
            }
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < until, "not ready within {READY_MAX:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn said_since(&self, place: u64) -> String {
        let mut log = std::fs::File::open(self.dir.path().join("log")).unwrap();
        log.seek(SeekFrom::Start(place)).unwrap();
        let mut said = Vec::new();
        log.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until the server has said so.
    #[track_caller]
    pub fn says(&self, what: &str) {
        let until = Instant::now() + READY_MAX;
        while !self.log().contains(what) {
            assert!(Instant::now() < until, "never said: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The binary with an environment of its own.
pub fn command(dir: &Path) -> Command {
    // A release, for instance, in place of what this was built with.
    let named = std::env::var_os("BARTIZAN_TEST_BINARY");
    let mut command = own_environment(Command::new(named.unwrap_or_else(|| BINARY.into())));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// Without what this process was told of Bartizan, which a configuration would read.
pub fn own_environment(mut command: Command) -> Command {
    command.env("NO_COLOR", "1");
    for (name, _) in std::env::vars() {
        if name.starts_with("BARTIZAN_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server; killed when dropped.
pub struct Server<'a> {
    pub home: &'a Home,
    pub child: Child,
}

impl Server<'_> {
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request(self.home.data_port, "POST", path, &headers, body.to_string().as_bytes())
            .expect("an answer")
    }

    pub fn chat(&self, key: &str, text: &str) -> Reply {
        self.post("/v1/chat/completions", key, &chat(text))
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A chat request of one user message.
pub fn chat(text: &str) -> Value {
    serde_json::json!({"model": "test-model", "messages": [{"role": "user", "content": text}]})
}

/// An HTTP answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

pub fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Reply> {
    request(port, "GET", path, headers, b"")
}

/// One request on a connection of its own, in HTTP/1.1.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Reply> {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if headers.iter().all(|(name, _)| *name != "host") {
        head += "host: 127.0.0.1\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all((head + "\r\n").as_bytes())?;
    // A server may answer and close before it has read all of a body that it refuses.
    let _sent = stream.write_all(body);
    read_reply(stream)
}

/// Reads an answer to its end.
pub fn read_reply(stream: impl Read) -> std::io::Result<Reply> {
    let mut reader = BufReader::new(stream);
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status =
        line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(bad("the head is cut"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let mut body = Vec::new();
    if find("transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16)
                .map_err(|_| bad("no chunk size: the answer was cut"))?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            let mut end = String::new();
            reader.read_line(&mut end)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = find("content-length").and_then(|l| l.parse().ok()) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(Reply { status, headers, body })
}
