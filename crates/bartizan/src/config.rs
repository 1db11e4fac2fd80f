//! The configuration: defaults, under a TOML file, under environment variables.
//! It is refused whole when anything in it is wrong, and everything that is wrong
//! is said at once, with file, line and key.

mod layers;
mod problem;
mod schema;
mod sense;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context;
use bartizan_console::{PeopleConfig, Setting, Setup};
use bartizan_core::constants::{ADMIN_LISTEN, CONFIG_FILE, DATA_DIR, ENV_PREFIX};
use bartizan_gateway::config::{
    DataConfig, GatewayConfig, NetConfig, Price, RouteConfig, TelemetryConfig, TlsConfig,
};
use bartizan_gateway::upstream::TargetConfig;
use bartizan_net::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use schema::{Key, Schema};

use layers::Tree;
use problem::{Problem, Wrong};

use crate::trouble::Hint;

/// LIMIT: the largest configuration file, in bytes. One of a thousand routes is a tenth of it.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Variables with our prefix that are no keys of the configuration.
const OTHER_VARIABLES: &[&str] = &[
    // The configuration file, where `--config` does not name it.
    "BARTIZAN_CONFIG",
    // The administrator's token, for verbs that speak to a server by `--server`.
    "BARTIZAN_ADMIN_TOKEN",
    // What tests and benchmarks read.
    "BARTIZAN_MATERIAL",
    "BARTIZAN_ADVISORIES",
    "BARTIZAN_SEED",
    "BARTIZAN_CRASH_CYCLES",
    "BARTIZAN_TEST_PYTHON",
    "BARTIZAN_TEST_CHROMIUM",
];

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The directory of everything that rests: database, ledger, keys. Relative
    /// to the working directory.
    pub(crate) data_dir: PathBuf,
    /// The data plane: where applications send their requests.
    pub(crate) data: DataConfig,
    /// Administration: the JSON API, health and metrics.
    pub(crate) admin: AdminConfig,
    /// Routes by name: which models go where, under which rules and limits.
    pub(crate) routes: BTreeMap<String, RouteConfig>,
    /// Prices by model name, for limits on cost.
    pub(crate) prices: BTreeMap<String, Price>,
    /// Which addresses the gateway may reach.
    pub(crate) net: NetConfig,
    /// Where things rest.
    pub(crate) store: bartizan_store::StoreSettings,
    /// The log that cannot be altered unnoticed.
    pub(crate) ledger: LedgerConfig,
    /// Who may do what.
    pub(crate) policy: PolicyConfig,
    /// People, and how they sign in to the console.
    pub(crate) people: PeopleConfig,
    /// What the server says while it runs.
    pub(crate) log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: DATA_DIR.into(),
            data: DataConfig::default(),
            admin: AdminConfig::default(),
            routes: BTreeMap::new(),
            prices: BTreeMap::new(),
            net: NetConfig::default(),
            store: bartizan_store::StoreSettings::default(),
            ledger: LedgerConfig::default(),
            policy: PolicyConfig::default(),
            people: PeopleConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// Administration's listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminConfig {
    /// The address and port to listen on.
    pub(crate) listen: String,
    /// TLS by certificate file; without it the listener speaks plain HTTP, and
    /// should stay on loopback.
    pub(crate) tls: Option<TlsConfig>,
    /// The largest head of a request (request line and headers), in bytes.
    pub(crate) header_bytes_max: usize,
    /// How long a client may take to send a request's head, in milliseconds.
    pub(crate) header_ms_max: u64,
    /// How many connections may be open at once.
    pub(crate) connections_max: usize,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: ADMIN_LISTEN.to_owned(),
            tls: None,
            header_bytes_max: 16 * 1024,
            header_ms_max: 10_000,
            connections_max: 256,
        }
    }
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerConfig {
    /// The log's name, which its checkpoints and key carry: a host and path of
    /// yours without a scheme. It counts when the log begins.
    pub(crate) origin: String,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { origin: "bartizan.local/ledger".to_owned() }
    }
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyConfig {
    /// A file of Cedar policies beside the shipped ones.
    pub(crate) file: Option<PathBuf>,
}

/// What the server says while it runs, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// How much: `error`, `warn`, `info`, `debug` or `trace`, or a filter such as
    /// `info,bartizan_gateway=debug`.
    pub(crate) level: String,
    /// In which form.
    pub(crate) format: LogFormat,
    /// The collector for traces (OTLP over HTTP, JSON), such as
    /// `http://127.0.0.1:4318/v1/traces`. Its host must be listed in `net.allow`
    /// when it is private. Without it none are sent.
    pub(crate) traces_url: Option<String>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json, traces_url: None }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// An object a line.
    Json,
    /// A sentence a line.
    Text,
}

impl Config {
    /// The gateway's part.
    pub(crate) fn gateway(&self) -> GatewayConfig {
        GatewayConfig {
            data: self.data.clone(),
            routes: self.routes.clone(),
            prices: self.prices.clone(),
            net: self.net.clone(),
            telemetry: TelemetryConfig { otlp_url: self.log.traces_url.clone() },
        }
    }

    /// The console's part, where it listens at `admin`.
    pub(crate) fn console(&self, admin: &str, client: Client) -> Setup {
        let scheme = if self.admin.tls.is_some() { "https" } else { "http" };
        Setup { config: self.people.clone(), url: format!("{scheme}://{admin}"), client }
    }

    /// Where the ledger rests.
    pub(crate) fn ledger_dir(&self) -> PathBuf {
        self.data_dir.join("ledger")
    }
}

/// Where the configuration is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file that was named; else `bartizan.toml`, where there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A configuration in force, with where each value came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    tree: Tree,
}

/// A key with its value in force.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Effective {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) origin: String,
}

impl Sources {
    /// The file that the command line names, and this process's environment.
    pub(crate) fn of_process(file: Option<&Path>) -> Self {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        let named = environment.iter().find(|(name, _)| name == "BARTIZAN_CONFIG");
        let file = file.map(Path::to_owned).or_else(|| named.map(|(_, path)| path.into()));
        Self { file, environment }
    }

    /// Reads, checks and merges.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        self.load_with(false)
    }

    /// The same for a server: the files that are named must be there, too.
    pub(crate) fn load_to_serve(&self) -> anyhow::Result<Loaded> {
        self.load_with(true)
    }

    fn load_with(&self, files: bool) -> anyhow::Result<Loaded> {
        let (file, mut tree) = self.read()?;
        let schema = Schema::of::<Config>();
        let mut problems = Vec::new();
        for (variable, name, text) in self.keys(&tree) {
            if let Err(problem) = layers::environment(&mut tree, &schema, variable, name, text) {
                problems.push(problem);
            }
        }
        problems.extend(problem::check(&tree, schema.root()));
        problems.extend(sense::check(&tree, files));
        if !problems.is_empty() {
            return refuse(problems);
        }
        let config: Config = serde_path_to_error::deserialize(tree.to_json())
            .or_else(|error| refuse(vec![unread(&tree, &error)]))?;
        Ok(Loaded { config, file, tree })
    }

    fn read(&self) -> anyhow::Result<(Option<PathBuf>, Tree)> {
        let path = match &self.file {
            Some(path) => path.clone(),
            None if Path::new(CONFIG_FILE).exists() => CONFIG_FILE.into(),
            None => return Ok((None, Tree::empty())),
        };
        let text = read_text(&path)?;
        let tree = layers::file(&path, &text).or_else(|problem| refuse(vec![problem]))?;
        Ok((Some(path), tree))
    }

    /// The variables that are keys: all with our prefix but those that other parts read.
    fn keys<'a>(&'a self, tree: &Tree) -> Vec<(&'a str, &'a str, &'a str)> {
        let mut named = BTreeSet::new();
        named_variables(&tree.to_json(), &mut named);
        let ours = self.environment.iter().filter(|(variable, _)| {
            !OTHER_VARIABLES.contains(&variable.as_str()) && !named.contains(variable)
        });
        let mut keys: Vec<_> = ours
            .filter_map(|(variable, text)| {
                Some((variable.as_str(), variable.strip_prefix(ENV_PREFIX)?, text.as_str()))
            })
            .collect();
        // In the order of names, so that places of a list are filled from 0.
        keys.sort_unstable();
        keys
    }
}

/// Variables that the configuration itself names (`key_env = "BARTIZAN_PROVIDER_KEY"`).
fn named_variables(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(name) if key.ends_with("_env") => {
                        into.insert(name.to_owned());
                    }
                    _ => named_variables(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named_variables(item, into)),
        _ => {}
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read the configuration `{}`", path.display());
    let meta = std::fs::metadata(path).with_context(cannot).hint(
        "name the file with --config or BARTIZAN_CONFIG; without either, `bartizan.toml` in the working directory is read where there is one",
    )?;
    if meta.len() > FILE_BYTES_MAX {
        return Err(anyhow::anyhow!(
            "it is {} bytes, and at most {FILE_BYTES_MAX} are read",
            meta.len()
        ))
        .with_context(cannot);
    }
    let bytes = std::fs::read(path).with_context(cannot)?;
    String::from_utf8(bytes).with_context(cannot).hint("write it in UTF-8, as TOML demands")
}

fn refuse<T>(problems: Vec<Problem>) -> anyhow::Result<T> {
    let wrong = Wrong { problems };
    let hint = wrong.hint();
    Err(wrong).hint(hint)
}

/// `127.0.0.1:8480`, `[::1]:8480`, `localhost:8480`.
fn is_address(text: &str) -> bool {
    let named = text.rsplit_once(':').is_some_and(|(host, port)| {
        let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !host.is_empty() && host.chars().all(of_name) && port.parse::<u16>().is_ok()
    });
    named || text.parse::<std::net::SocketAddr>().is_ok()
}

/// What the types refuse although the schema did not.
fn unread(tree: &Tree, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path: Vec<String> = error
        .path()
        .iter()
        .map(|segment| segment.to_string().trim_matches(['[', ']']).to_owned())
        .collect();
    Problem {
        origin: tree.origin_of(&path),
        key: Some(path.join(".")),
        what: format!("cannot be used: {}", error.inner()),
        hint: None,
    }
}

impl Config {
    /// Every value of a configuration that was made in code, as the console shows it: what is
    /// not the default is from `origin`.
    pub(crate) fn told(&self, origin: &str) -> Vec<Setting> {
        let of = |config: &Self| {
            Loaded { config: config.clone(), file: None, tree: Tree::empty() }.settings()
        };
        // A route that is there, and its targets, have defaults of their own.
        let mut usual = Self::default();
        for (name, route) in &self.routes {
            let targets = route.targets.iter().map(|_| TargetConfig::default()).collect();
            let route = RouteConfig { targets, ..RouteConfig::default() };
            usual.routes.insert(name.clone(), route);
        }
        let usual = of(&usual);
        let told = |mut setting: Setting| {
            if !usual.contains(&setting) {
                origin.clone_into(&mut setting.origin);
            }
            setting
        };
        of(self).into_iter().map(told).collect()
    }
}

impl Loaded {
    /// Every value in force, as the console shows it.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let setting = |one: Effective| {
            let value = match one.value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Setting { key: one.key, value, origin: one.origin }
        };
        self.effective().into_iter().map(setting).collect()
    }

    /// Every key with its value in force and where that came from. What may be
    /// secret is not shown.
    pub(crate) fn effective(&self) -> Vec<Effective> {
        let mut out = Vec::new();
        let value = serde_json::to_value(&self.config).unwrap_or_default();
        self.gather(&value, &mut Vec::new(), &mut out);
        out
    }

    fn gather(&self, value: &Value, path: &mut Vec<String>, out: &mut Vec<Effective>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(map) if !map.is_empty() && !is_secret(path) => {
                map.iter().map(|(name, value)| (name.clone(), value)).collect()
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect()
            }
            _ => {
                out.push(Effective {
                    key: path.join("."),
                    value: shown(value, path),
                    origin: self.tree.origin_of(path).to_string(),
                });
                return;
            }
        };
        for (name, value) in below {
            path.push(name);
            self.gather(value, path, out);
            path.pop();
        }
    }
}

/// Values that people put secrets into, although keys have a place of their own.
fn is_secret(path: &[String]) -> bool {
    path.iter().any(|name| ["headers", "canaries"].contains(&name.as_str()))
}

fn shown(value: &Value, path: &[String]) -> Value {
    match value {
        Value::Array(items) if is_secret(path) && !items.is_empty() => {
            format!("({} not shown)", items.len()).into()
        }
        Value::Object(map) if is_secret(path) && !map.is_empty() => {
            format!("({} not shown)", map.len()).into()
        }
        Value::String(text) => without_password(text).into(),
        other => other.clone(),
    }
}

/// `https://user:password@host/` without what stands before the `@`.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
    let Some((_, host)) = authority.rsplit_once('@') else { return text.to_owned() };
    let path = path.map_or(String::new(), |path| format!("/{path}"));
    format!("{scheme}://(not shown)@{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> anyhow::Result<Loaded> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("b.toml");
        std::fs::write(&path, toml).expect("written");
        let environment =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let name = path.display().to_string();
        Sources { file: Some(path), environment }
            .load()
            .map_err(|error| anyhow::anyhow!("{}", format!("{error:#}").replace(&name, "b.toml")))
    }

    #[track_caller]
    fn refused(toml: &str, environment: &[(&str, &str)], expected: &expect_test::Expect) {
        let error = load(toml, environment).expect_err("was accepted");
        expected.assert_eq(&error.to_string());
    }

    const ROUTE: &str =
        "[routes.chat]\nmodels = [\"*\"]\n[[routes.chat.targets]]\nurl = \"http://127.0.0.1:9\"\n";

    #[test]
    fn nothing_said_means_defaults() {
        assert_eq!(load("", &[]).expect("empty is fine").config, Config::default());
    }

    #[test]
    fn the_environment_lies_over_the_file_over_the_defaults() {
        let environment = [
            ("BARTIZAN_DATA__LISTEN", "127.0.0.1:1"),
            ("BARTIZAN_DATA__BODY_BYTES_MAX", "17"),
            ("BARTIZAN_ROUTES__CHAT__MODELS", "[\"a\", \"b\"]"),
            ("BARTIZAN_ROUTES__CHAT__TARGETS__0__WEIGHT", "3"),
            ("BARTIZAN_ROUTES__CHAT__TARGETS__1__URL", "http://127.0.0.1:10"),
            ("BARTIZAN_ROUTES__CHAT__RULES__GD001__MODE", "monitor"),
            ("BARTIZAN_ADMIN_TOKEN", "is read elsewhere"),
        ];
        let toml = format!("{ROUTE}[data]\nlisten = \"127.0.0.1:2\"\nheader_ms_max = 5\n");
        let loaded = load(&toml, &environment).expect("is right");
        let Config { data, routes, .. } = &loaded.config;
        assert_eq!(
            (data.listen.as_str(), data.body_bytes_max, data.header_ms_max),
            ("127.0.0.1:1", 17, 5)
        );
        let chat = &routes["chat"];
        assert_eq!(chat.models, ["a", "b"]);
        assert_eq!(chat.targets.len(), 2);
        assert_eq!(
            (chat.targets[0].url.as_str(), chat.targets[0].weight),
            ("http://127.0.0.1:9", 3)
        );
        assert!(chat.rules.contains_key("GD001"));
        let effective = loaded.effective();
        let origin =
            |key: &str| effective.iter().find(|e| e.key == key).expect("is listed").origin.clone();
        assert_eq!(origin("data.listen"), "environment BARTIZAN_DATA__LISTEN");
        assert!(
            origin("data.header_ms_max").ends_with("b.toml:7"),
            "{}",
            origin("data.header_ms_max")
        );
        assert_eq!(origin("data.header_bytes_max"), "default");
        assert_eq!(
            origin("routes.chat.targets.0.weight"),
            "environment BARTIZAN_ROUTES__CHAT__TARGETS__0__WEIGHT"
        );
        assert!(origin("routes.chat.targets.0.url").ends_with("b.toml:4"));
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let e = expect_test::expect![
            "b.toml:2: `data.lisen` is no key of the configuration; did you mean `data.listen`?"
        ];
        refused("[data]\nlisen = \"x\"", &[], &e);
        let e = expect_test::expect![
            "b.toml:1: `nonsense` is no key of the configuration; known here: data_dir, data, admin, routes, prices, net, store, ledger, policy, people, log"
        ];
        refused("nonsense = 1", &[], &e);
        let e = expect_test::expect![
            "b.toml:2: `data.body_bytes_max` is the text `big`: expected a whole number, at least 0"
        ];
        refused("[data]\nbody_bytes_max = \"big\"", &[], &e);
        let e = expect_test::expect![
            "b.toml:2: `data.body_bytes_max` is the number `-1`: expected a whole number, at least 0"
        ];
        refused("[data]\nbody_bytes_max = -1", &[], &e);
        let e = expect_test::expect!["b.toml:1: `routes` is a list: expected a table"];
        refused("routes = []", &[], &e);
        let e = expect_test::expect![
            "b.toml:2: `log.format` is the text `xml`: expected one of `json`, `text`"
        ];
        refused("[log]\nformat = \"xml\"", &[], &e);
        let e = expect_test::expect![
            "b.toml:5: `routes.chat.targets.0.wait` is no key of the configuration; known here: url, name, provider, key_env, key_file, model, headers, priority, weight, concurrency_max, queue_ms_max, retries_max, retry_unanswered, connect_ms_max, first_byte_ms_max, idle_ms_max, total_ms_max, breaker_failures, breaker_ms"
        ];
        refused(&format!("{ROUTE}wait = 1"), &[], &e);
        let e = expect_test::expect![
            "b.toml:6: `routes.chat.rules.GD001.mode` is `enforced`: expected `enforce`, `monitor` or `off`"
        ];
        refused(&format!("{ROUTE}[routes.chat.rules.GD001]\nmode = \"enforced\""), &[], &e);
    }

    #[test]
    fn an_address_that_is_none_is_refused_before_anything_listens() {
        let e = expect_test::expect![
            "b.toml:2: `admin.listen` is `127.0.0.1:99999`: expected an address with a port, such as `127.0.0.1:8480`"
        ];
        refused("[admin]\nlisten = \"127.0.0.1:99999\"", &[], &e);
        for right in ["127.0.0.1:0", "[::1]:8480", "localhost:80", "0.0.0.0:1"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in ["", "8480", ":8480", "localhost", "::1:8480:x", "a b:80", "1.2.3.4:-1"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn half_a_table_from_the_environment_is_named_after_its_variable() {
        let e = expect_test::expect![
            "environment BARTIZAN_DATA__TLS__CERTIFICATE: `data.tls` cannot be used: missing field `key`"
        ];
        refused("", &[("BARTIZAN_DATA__TLS__CERTIFICATE", "x")], &e);
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        let said = load("[data]\nlisten = ", &[]).expect_err("is refused").to_string();
        assert!(said.starts_with("b.toml:2: not TOML: "), "{said}");
        let twice =
            load("data_dir = \"a\"\ndata_dir = \"b\"", &[]).expect_err("is refused").to_string();
        assert!(twice.starts_with("b.toml:2: not TOML: duplicate key"), "{twice}");
    }

    #[test]
    fn a_slip_in_the_environment_is_a_mistake_too() {
        let e = expect_test::expect![
            "environment BARTIZAN_DATA__LISEN: `data.lisen` is no key of the configuration; did you mean `data.listen`?"
        ];
        refused("", &[("BARTIZAN_DATA__LISEN", "x")], &e);
        let e = expect_test::expect![
            "environment BARTIZAN_DATA__BODY_BYTES_MAX: `data.body_bytes_max` is the text `big`: expected a whole number, at least 0"
        ];
        refused("", &[("BARTIZAN_DATA__BODY_BYTES_MAX", "big")], &e);
        let e = expect_test::expect![
            "environment BARTIZAN_ROUTES__CHAT__TARGETS__7__URL: `routes.chat.targets.7.url` names place 7 of a list of 1"
        ];
        refused(ROUTE, &[("BARTIZAN_ROUTES__CHAT__TARGETS__7__URL", "x")], &e);
    }

    #[test]
    fn a_variable_that_the_configuration_names_is_no_key() {
        let toml = format!("{ROUTE}key_env = \"BARTIZAN_UPSTREAM_KEY\"");
        load(&toml, &[("BARTIZAN_UPSTREAM_KEY", "sk-1")]).expect("is read by the pool");
        load(ROUTE, &[("BARTIZAN_UPSTREAM_KEY", "sk-1")]).expect_err("is a slip otherwise");
    }

    #[test]
    fn several_mistakes_are_said_at_once() {
        let said = load("[data]\na = 1\nb = 2", &[]).expect_err("is refused").to_string();
        assert!(said.starts_with("the configuration has 2 problems:\n  b.toml:2: "), "{said}");
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let toml = |url: &str| {
            format!(
                "[routes.chat]\nmodels = [\"*\"]\ncanaries = [\"CANARY-1\"]\n[[routes.chat.targets]]\nurl = \"{url}\"\nheaders = {{ x = \"hunter3\" }}\n"
            )
        };
        let right = load(&toml("http://h/v1"), &[]).expect("is right");
        let shown = serde_json::to_string(&right.effective()).expect("JSON");
        for secret in ["CANARY-1", "hunter3"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let e = expect_test::expect![
            "b.toml:5: `routes.chat.targets.0.url` (not shown): it carries credentials; keys belong into `key_env` or `key_file`: expected such as `https://host/v1`"
        ];
        refused(&toml("http://u:hunter2@h/v1"), &[], &e);
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_any_variable_is_accepted_or_refused(
            text in ".{0,200}", key in "[a-z_.]{0,20}", value in ".{0,20}", name in "[A-Z_0-9]{0,30}",
        ) {
            let schema = Schema::of::<Config>();
            for toml in [&text, &format!("{key} = {value}"), &format!("[routes.{key}]\nmodels = [{value:?}]")] {
                let Ok(mut tree) = layers::file(Path::new("b.toml"), toml) else { continue };
                let _named = layers::environment(&mut tree, &schema, "BARTIZAN_X", &name, &value);
                let problems = problem::check(&tree, schema.root());
                let read = serde_path_to_error::deserialize::<_, Config>(tree.to_json());
                // What the types refuse is refused with its place, before or now.
                if let Err(error) = read && problems.is_empty() {
                    proptest::prop_assert!(unread(&tree, &error).to_string().contains("cannot be used"));
                }
            }
        }
    }

    #[test]
    fn every_key_has_a_description() {
        let schema = Schema::of::<Config>();
        let keys = schema.keys();
        assert!(keys.len() > 60, "only {} keys were found", keys.len());
        for key in keys {
            assert!(!key.help.is_empty(), "`{}` is not described", key.path.join("."));
        }
    }
}
