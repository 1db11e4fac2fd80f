//! What requests go through: nothing, nginx, Bartizan or LiteLLM, each a process of its
//! own on loopback that ends when it is dropped.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    open::Caller,
    prompts::{self, Kind},
};

/// How long a hop may take until it answers. LiteLLM imports for half a minute.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long a process may take to end when asked to.
const END_MAX: Duration = Duration::from_secs(5);
/// Worker processes of nginx and LiteLLM: the threads that Bartizan takes on two cores.
pub const WORKERS: usize = 2;
/// LiteLLM's key, which is no secret.
const LITELLM_KEY: &str = "sk-bench";

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Whether it is asked to end first, since it has children of its own to end.
    gently: bool,
}

impl Running {
    pub fn start(command: &mut Command, log: &Path, gently: bool) -> Result<Self> {
        let out = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let command = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, gently })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.gently {
            let pid = self.pid().to_string();
            let _asked = Command::new("kill").args(["-TERM", &pid]).status();
            if self.ended_within(END_MAX) {
                return;
            }
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Where requests can be sent.
#[derive(Debug)]
pub struct Hop {
    pub name: &'static str,
    pub pid: Option<u32>,
    pub key: Option<String>,
    whole: SocketAddr,
    streamed: SocketAddr,
    _running: Running,
}

impl Hop {
    pub fn address(&self, streamed: bool) -> SocketAddr {
        if streamed { self.streamed } else { self.whole }
    }

    fn new(name: &'static str, port: u16, key: Option<String>, running: Running) -> Self {
        let address = on(port);
        Self {
            name,
            pid: Some(running.pid()),
            key,
            whole: address,
            streamed: address,
            _running: running,
        }
    }

    /// Waits until it answers as it should.
    fn ready(self, dir: &Path) -> Result<Self> {
        let until = Instant::now() + READY_MAX;
        loop {
            let Err(error) = self.answers() else { return Ok(self) };
            if Instant::now() > until {
                bail!("{} does not answer: {error:#}\n{}", self.name, tail(&log(dir, self.name)));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> Result<()> {
        for streamed in [false, true] {
            let kind = Kind { prompt_bytes: 1000, streamed };
            let requests = prompts::requests(kind, self.key.as_deref());
            let request = requests.first().context("INVARIANT: there are requests")?;
            Caller::new(self.address(streamed), streamed)?.call(request)?;
        }
        Ok(())
    }
}

/// The mock model by itself. Every other hop needs one.
pub fn direct(dir: &Path) -> Result<Hop> {
    let (running, port) = model(dir, false)?;
    let mut hop = Hop::new("direct", port, None, running);
    hop.pid = None;
    hop.ready(dir)
}

/// Starts the mock model; its port.
pub fn model(dir: &Path, silent: bool) -> Result<(Running, u16)> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["upstream", &port.to_string()]).args(silent.then_some("silent"));
    Ok((Running::start(&mut command, &log(dir, "upstream"), false)?, port))
}

/// nginx as a plain reverse proxy: kept connections to the model, no log of requests,
/// nothing on the disk, and streams passed on as they come.
pub fn nginx(program: &Path, dir: &Path, model: &Hop) -> Result<Hop> {
    let dir = fresh(dir, "nginx")?;
    let (whole, streamed) = (free_port()?, free_port()?);
    let server = |port: u16, more: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port}; client_body_buffer_size 64k; {more}\n\
             location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n"
        )
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    let config = format!(
        "daemon off; worker_processes {WORKERS}; pid nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n{temporary}\
         upstream model {{ server {}; keepalive 256; keepalive_requests 100000000; }}\n{}{} }}\n",
        model.whole,
        server(whole, ""),
        server(streamed, "proxy_buffering off;"),
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&dir).arg("-c").arg(&file).args(["-e", "stderr"]);
    let running = Running::start(&mut command, &log(&dir, "nginx"), true)?;
    let mut hop = Hop::new("nginx", whole, None, running);
    hop.streamed = on(streamed);
    hop.ready(&dir)
}

/// An installation of Bartizan in the default configuration, not yet running.
#[derive(Debug)]
pub struct Bartizan {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    pub key: String,
}

impl Bartizan {
    /// Writes the configuration, with further TOML for the data plane, and makes a key.
    pub fn install(program: &Path, dir: &Path, model: u16, data: &str) -> Result<Self> {
        let dir = fresh(dir, "bartizan")?;
        let (port, admin) = (free_port()?, free_port()?);
        let config = format!(
            "data_dir = \"data\"\n[data]\nlisten = \"127.0.0.1:{port}\"\n{data}\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[net]\nallow = [\"127.0.0.1\"]\n\
             [routes.chat]\nmodels = [\"*\"]\n[[routes.chat.targets]]\nurl = \"http://127.0.0.1:{model}\"\n"
        );
        fs::write(dir.join("bartizan.toml"), config)?;
        let mut bartizan =
            Self { program: fs::canonicalize(program)?, dir, port, key: String::new() };
        bartizan.key = bartizan.make_key()?;
        Ok(bartizan)
    }

    fn make_key(&self) -> Result<String> {
        let output =
            self.command().args(["keys", "create", "bench", "--format", "json"]).output()?;
        ensure!(
            output.status.success(),
            "keys create: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        Ok(answer.get("secret").and_then(Value::as_str).context("no secret")?.to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.dir).args(["--config", "bartizan.toml"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BARTIZAN_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub fn address(&self) -> SocketAddr {
        on(self.port)
    }

    /// Starts it and does not wait.
    pub fn start(&self) -> Result<Running> {
        Running::start(self.command().arg("serve"), &log(&self.dir, "bartizan"), true)
    }

    /// Starts it and waits until it answers.
    pub fn serve(&self) -> Result<Hop> {
        let running = self.start()?;
        Hop::new("bartizan", self.port, Some(self.key.clone()), running).ready(&self.dir)
    }
}

/// LiteLLM's proxy without a database, which is told to ask nothing of the internet.
pub fn litellm(program: &Path, dir: &Path, model: &Hop) -> Result<Hop> {
    let dir = fresh(dir, "litellm")?;
    let port = free_port()?;
    let config = format!(
        "model_list:\n- model_name: bench\n  litellm_params:\n    model: openai/bench\n    \
         api_base: http://{}/v1\n    api_key: sk-none\n\
         general_settings:\n  master_key: {LITELLM_KEY}\n\
         litellm_settings:\n  telemetry: false\n  num_retries: 0\n",
        model.whole
    );
    fs::write(dir.join("config.yaml"), config)?;
    let mut command = Command::new(program);
    command
        .current_dir(&dir)
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR")
        .env("DO_NOT_TRACK", "1")
        .env_remove("DATABASE_URL")
        .args(["--config", "config.yaml", "--host", "127.0.0.1", "--telemetry", "False"])
        .args(["--port", &port.to_string(), "--num_workers", &WORKERS.to_string()]);
    let running = Running::start(&mut command, &log(&dir, "litellm"), true)?;
    Hop::new("litellm", port, Some(LITELLM_KEY.to_owned()), running).ready(&dir)
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn on(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn fresh(dir: &Path, name: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn log(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.log"))
}

/// The last lines of a log, to say why something did not start.
fn tail(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
