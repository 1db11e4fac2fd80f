//! A NATS server with JetStream, in a directory that goes when the test ends.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server with JetStream on a port of loopback.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    arguments: Vec<String>,
    dir: tempfile::TempDir,
    pub port: u16,
    process: Option<Child>,
}

/// Starts one; `None` where NATS is not installed.
pub fn nats() -> Option<NatsServer> {
    nats_with(&[])
}

/// Starts one with more arguments.
pub fn nats_with(arguments: &[&str]) -> Option<NatsServer> {
    let mut server = stopped_nats(arguments)?;
    server.revive();
    Some(server)
}

/// One that is not started yet.
pub fn stopped_nats(arguments: &[&str]) -> Option<NatsServer> {
    let program = super::program("nats-server", "BARTIZAN_TEST_NATS", Vec::new())?;
    let port = super::free_port();
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let dir = tempfile::tempdir().expect("a directory");
    Some(NatsServer { program, arguments, dir, port, process: None })
}

impl NatsServer {
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends it as a failing machine would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("killed");
            process.wait().expect("ended");
        }
    }

    /// Starts it (again, over what it left).
    pub fn revive(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"]);
        command.arg(self.dir.path()).args(&self.arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("the server starts"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "NATS did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
