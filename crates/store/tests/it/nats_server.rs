//! A NATS server of a test's own, in a directory that goes when the test ends.
//!
//! It is what `BARTIZAN_TEST_NATS` names, or `nats-server` on the path. Where there is none the
//! test says loudly that it was skipped, or fails if `BARTIZAN_TEST_REQUIRE` is set.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bartizan_store::StoreSettings;

/// A server with JetStream on a port of loopback.
#[derive(Debug)]
pub(crate) struct NatsServer {
    program: PathBuf,
    arguments: Vec<String>,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    process: Option<Child>,
}

/// Starts one; `None` where NATS is not installed.
pub(crate) fn nats() -> Option<NatsServer> {
    nats_with(&[])
}

/// Starts one with more arguments.
pub(crate) fn nats_with(arguments: &[&str]) -> Option<NatsServer> {
    let mut server = stopped_nats(arguments)?;
    server.revive();
    Some(server)
}

/// One that is not started yet.
pub(crate) fn stopped_nats(arguments: &[&str]) -> Option<NatsServer> {
    let named = std::env::var_os("BARTIZAN_TEST_NATS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join("nats-server"));
    let Some(program) = named.into_iter().chain(on_path).find(|program| program.exists()) else {
        let require = std::env::var_os("BARTIZAN_TEST_REQUIRE").is_some();
        assert!(!require, "NATS is not installed");
        eprintln!("!! SKIPPED: NATS is not installed");
        return None;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let dir = tempfile::tempdir().expect("a directory");
    Some(NatsServer { program, arguments, dir, port, process: None })
}

impl NatsServer {
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings { nats_url: Some(self.url()), ..StoreSettings::default() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends it as a failing machine would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("killed");
            process.wait().expect("ended");
        }
    }

    /// Starts it (again, over what it left).
    pub(crate) fn revive(&mut self) {
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
