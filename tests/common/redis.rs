//! A Redis, on a free port, gone when it is dropped.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long Redis may take to start. Generous: these tests judge what happens, not how fast.
const START_MAX: Duration = Duration::from_secs(20);

pub struct RedisServer {
    pub port: u16,
    program: PathBuf,
    dir: tempfile::TempDir,
    args: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one; `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    pub fn with(args: &[&str]) -> Option<Self> {
        let program = super::program("redis-server", "BARTIZAN_TEST_REDIS", Vec::new())?;
        let dir = tempfile::tempdir().expect("a directory");
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut server = Self { program, port: super::free_port(), dir, args, child: None };
        // Somebody may take the port before Redis does.
        while !server.begin() {
            server.port = super::free_port();
        }
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would. What `SAVE` put on the disk is there at the next start.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    pub fn restart(&mut self) {
        self.kill();
        assert!(self.begin(), "the port {} was taken meanwhile", self.port);
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("running").id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Runs commands over one connection; all that was answered.
    #[track_caller]
    pub fn ask(&self, commands: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        stream.set_read_timeout(Some(START_MAX)).expect("set");
        let all = commands.join("\r\n") + "\r\nQUIT\r\n";
        stream.write_all(all.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    /// Whether it runs; `false` when it ended at once.
    fn begin(&mut self) -> bool {
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("redis-server runs");
        let until = Instant::now() + START_MAX;
        let ready = loop {
            // Asked for a password, it is there, too.
            if answers(self.port) {
                break true;
            }
            if child.try_wait().expect("known").is_some() {
                break false;
            }
            assert!(Instant::now() < until, "Redis did not start within {START_MAX:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        self.child = Some(child);
        ready
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 7];
    let talked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
    talked.is_ok() && (&answer == b"+PONG\r\n" || answer.starts_with(b"-NOAUTH"))
}
