//! What no schema can say of a configuration: whether an address is one, a rule is known, a
//! bound can be kept, a file is there. It reads the tree, so that this is told together with
//! what the schema refuses.

use std::path::Path;

use bartizan_core::{Mode, Verdict};
use serde_json::Value;

use super::{
    layers::Tree,
    problem::{Problem, clipped},
};
use crate::wiring;

/// Bounds of which zero lets nothing through.
const NEVER_ZERO: &[&str] = &[
    "data.body_bytes_max",
    "data.answer_bytes_max",
    "data.header_bytes_max",
    "data.header_ms_max",
    "data.body_ms_max",
    "data.stall_ms_max",
    "data.connections_max",
    "admin.header_bytes_max",
    "admin.header_ms_max",
    "admin.connections_max",
];
/// Files that a server reads, whatever it is asked.
const FILES: &[&str] = &[
    "data.tls.certificate",
    "data.tls.key",
    "admin.tls.certificate",
    "admin.tls.key",
    "policy.file",
    "net.ca_file",
];

/// Everything that makes no sense. Files are looked for where a server is to start: other
/// verbs may run elsewhere, and need none.
pub(super) fn check(tree: &Tree, files: bool) -> Vec<Problem> {
    let mut sense = Sense { tree, value: tree.to_json(), problems: Vec::new() };
    sense.listeners();
    sense.zeros();
    sense.routes(files);
    sense.classes();
    sense.origin();
    if files {
        for key in FILES {
            sense.file(&split(key));
        }
    }
    sense.problems
}

struct Sense<'a> {
    tree: &'a Tree,
    value: Value,
    problems: Vec<Problem>,
}

fn split(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

impl Sense<'_> {
    fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.value, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    }

    /// The names below a table.
    fn names(&self, path: &[String]) -> Vec<String> {
        match self.at(path) {
            Some(Value::Object(table)) => table.keys().cloned().collect(),
            Some(Value::Array(items)) => (0..items.len()).map(|place| place.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    fn text(&self, path: &[String]) -> Option<String> {
        self.at(path)?.as_str().map(str::to_owned)
    }

    fn wrong(&mut self, path: &[String], what: String) {
        self.problems.push(Problem {
            origin: self.tree.origin_of(path),
            key: Some(path.join(".")),
            what,
            hint: None,
        });
    }

    fn listeners(&mut self) {
        for key in ["data.listen", "admin.listen"] {
            let path = split(key);
            let Some(text) = self.text(&path).filter(|text| !super::is_address(text)) else {
                continue;
            };
            self.wrong(
                &path,
                format!(
                    "is `{}`: expected an address with a port, such as `127.0.0.1:8480`",
                    clipped(&text)
                ),
            );
        }
    }

    fn zeros(&mut self) {
        for key in NEVER_ZERO {
            let path = split(key);
            if self.at(&path).and_then(Value::as_u64) == Some(0) {
                self.wrong(
                    &path,
                    "is 0, by which nothing would ever be answered: expected 1 or more; leave it out for the default".to_owned(),
                );
            }
        }
    }

    fn routes(&mut self, files: bool) {
        let routes = split("routes");
        for name in self.names(&routes) {
            let route = [routes.clone(), vec![name]].concat();
            let rules = [route.clone(), split("rules")].concat();
            for code in self.names(&rules) {
                self.rule(&[rules.clone(), vec![code.clone()]].concat(), &code);
            }
            let targets = [route, split("targets")].concat();
            for place in self.names(&targets) {
                let target = [targets.clone(), vec![place]].concat();
                self.url(&[target.clone(), split("url")].concat());
                if files {
                    self.file(&[target, split("key_file")].concat());
                }
            }
        }
    }

    fn rule(&mut self, path: &[String], code: &str) {
        let codes = || bartizan_guard::rules::ALL.iter().map(|rule| rule.meta.code);
        self.word::<Mode>(path, "mode", "`enforce`, `monitor` or `off`");
        self.word::<Verdict>(path, "action", "`allow`, `annotate`, `redact`, `hold` or `block`");
        if codes().any(|known| known.eq_ignore_ascii_case(code)) {
            return;
        }
        let near = match bartizan_core::nearest(code, codes()) {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => String::new(),
        };
        self.wrong(path, format!("is no rule's code: `bartizan guard rules` lists them{near}"));
    }

    /// A text that is one of a type's words.
    fn word<T: serde::de::DeserializeOwned>(&mut self, of: &[String], key: &str, words: &str) {
        let path = [of, &[key.to_owned()]].concat();
        let Some(text) = self.text(&path) else { return };
        if serde_json::from_value::<T>(text.clone().into()).is_err() {
            self.wrong(&path, format!("is `{}`: expected {words}", clipped(&text)));
        }
    }

    fn url(&mut self, path: &[String]) {
        let Some(text) = self.text(path) else { return };
        let url = text.parse::<http::Uri>().ok();
        let problem = match url.as_ref().map(|url| (url.scheme_str(), url.authority())) {
            Some((Some("http" | "https"), Some(authority))) => {
                if !authority.as_str().contains('@') {
                    return;
                }
                "it carries credentials; keys belong into `key_env` or `key_file`"
            }
            Some((_, Some(_))) => "it begins with neither `https://` nor `http://`",
            _ => "it is no URL with a host",
        };
        let shown = match text.contains('@') {
            true => "not shown".to_owned(),
            false => format!("`{}`", clipped(&text)),
        };
        self.wrong(path, format!("({shown}): {problem}: expected such as `https://host/v1`"));
    }

    fn file(&mut self, path: &[String]) {
        let Some(text) = self.text(path) else { return };
        if let Err(error) = std::fs::metadata(Path::new(&text)) {
            self.wrong(path, format!("names `{}`, which cannot be read: {error}", clipped(&text)));
        }
    }

    fn classes(&mut self) {
        let retention = split("store.retention");
        let known: Vec<&str> = wiring::classes().iter().map(|class| class.name).collect();
        for name in self.names(&retention) {
            if !known.contains(&name.as_str()) {
                let what = format!("is no class of data; known: {}", known.join(", "));
                self.wrong(&[retention.clone(), vec![name]].concat(), what);
            }
        }
    }

    fn origin(&mut self) {
        let path = split("ledger.origin");
        let Some(text) = self.text(&path) else { return };
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c == '+') {
            self.wrong(
                &path,
                format!(
                    "is `{}`: expected a name without white space and `+`, such as `house.example/ledger`",
                    clipped(&text)
                ),
            );
        }
    }
}
