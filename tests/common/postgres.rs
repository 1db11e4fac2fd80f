//! A PostgreSQL server, in a directory that goes when the test ends.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server on a port of loopback, where everybody on this machine is trusted.
#[derive(Debug)]
pub struct PostgresServer {
    binaries: PathBuf,
    dir: tempfile::TempDir,
    pub port: u16,
    process: Child,
}

impl PostgresServer {
    /// Starts one; `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let binaries = binaries()?;
        let dir = tempfile::tempdir().expect("a directory");
        // The server refuses to run as root: it runs as the user that its package made.
        if root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(dir.path()));
        }
        let data = dir.path().join("data");
        let mut init = as_server(&binaries.join("initdb"));
        init.args(["--username=bartizan", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"]);
        run(init.arg(&data));
        let port = super::free_port();
        let process = serve(&binaries, &data, port);
        Some(Self { binaries, dir, port, process })
    }

    /// Makes a database; its URL.
    pub fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        let mut create = Command::new(self.binaries.join("createdb"));
        run(create.args(["-h", "127.0.0.1", "-U", "bartizan", "-p", &port, name]));
        format!("postgresql://bartizan@127.0.0.1:{port}/{name}")
    }

    /// Runs SQL as the server's administrator; what `psql` prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let port = self.port.to_string();
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-h", "127.0.0.1", "-U", "bartizan", "-p", &port, "-d", database]);
        let output = psql.args(["-qAtX", "-c", sql]).output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The server's main process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a failing machine would.
    pub fn kill(&mut self) {
        kill(self.pid());
        self.process.wait().expect("ended");
    }

    /// Starts it again over what it left, when its last processes have gone.
    pub fn revive(&mut self) {
        let _gone = self.process.wait();
        let data = self.dir.path().join("data");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            self.process = serve(&self.binaries, &data, self.port);
            if self.process.try_wait().expect("asked").is_none() {
                return;
            }
        }
        panic!("PostgreSQL did not start again");
    }

    /// Sends a signal to the server's main process and its backends, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        run(Command::new("pkill").args([&format!("-{signal}"), "-P", &pid]));
        run(Command::new("kill").args([&format!("-{signal}"), &pid]));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Ends a server and its backends, none of which gets to say or write anything.
pub fn kill(pid: u32) {
    let pid = pid.to_string();
    let backends = Command::new("pkill").args(["-KILL", "-P", &pid]).status();
    backends.expect("pkill runs");
    run(Command::new("kill").args(["-KILL", &pid]));
}

/// The folder of `initdb` and its siblings: the newest that the distribution's package installed.
fn binaries() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    places.sort();
    places.reverse();
    let initdb = super::program("initdb", "BARTIZAN_TEST_INITDB", places)?;
    initdb.parent().map(Path::to_owned)
}

fn root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

fn as_server(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

fn serve(binaries: &Path, data: &Path, port: u16) -> Child {
    let mut server = as_server(&binaries.join("postgres"));
    server.arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
    {
        server.args(["-c", setting]);
    }
    let mut process =
        server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        let mut ready = Command::new(binaries.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        let answers = ready.status().expect("pg_isready runs").success();
        if answers || process.try_wait().expect("asked").is_some() {
            return process;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _gone = (process.kill(), process.wait());
    panic!("PostgreSQL did not answer on port {port}");
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
