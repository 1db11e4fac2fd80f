//! Every key of the configuration, with what it is for, what it takes, its default
//! and its environment variable.

use std::fmt::Write;

use bartizan_core::constants::ENV_PREFIX;
use serde_json::Value;

use super::GENERATED;
use crate::config::{Config, Key, Schema};

/// A file that is enough to begin with. A test reads it.
const EXAMPLE: &str = r#"data_dir = "/var/lib/bartizan"

[net]
allow = ["127.0.0.1"]               # a model on this machine may be reached

[routes.chat]
models = ["gpt-4o*", "llama3*"]
per_key = { window_s = 60, requests = 600 }

[[routes.chat.targets]]
url = "http://127.0.0.1:11434"

[routes.chat.rules.GD001]
action = "hold"                     # a person looks before it goes on
"#;

pub(super) fn page() -> anyhow::Result<String> {
    let mut page = format!(
        "{GENERATED}# Configuration\n\n\
         One TOML file: the one that `--config` names, else the one that `BARTIZAN_CONFIG` names, else `bartizan.toml` in the working directory where there is one. \
         Every key has a default, so no file at all is a configuration, too.\n\n\
         Every key has an environment variable, which goes before the file: `{ENV_PREFIX}`, then the parts of its name in capitals, joined by two underscores. \
         Texts stand there as they are; anything else is written as in TOML, such as `[\"a\", \"b\"]`.\n\n\
         A configuration in which anything is wrong is refused whole, and everything that is wrong is said at once: with file and line, or the variable. \
         `bartizan doctor --effective` prints every value in force and where it comes from.\n\n\
         In the names below, `NAME` stands for a name of yours, and `0` for a place in a list.\n\n\
         ```toml\n{EXAMPLE}```\n"
    );
    let schema = Schema::of::<Config>();
    let defaults = serde_json::to_value(Config::default())?;
    for (table, keys) in tables(&schema) {
        write!(page, "\n## {}\n", heading(&table))?;
        let about = schema.at(&table).map(|node| node.help()).unwrap_or_default();
        if !about.is_empty() && !table.is_empty() {
            write!(page, "\n{about}\n")?;
        }
        page.push_str("\n| key | what it is for | takes | default |\n|---|---|---|---|\n");
        for key in keys {
            page.push_str(&row(&key, &defaults));
        }
    }
    Ok(page)
}

type Table<'a> = (Vec<String>, Vec<Key<'a>>);

/// The keys of each table together, the tables in the order of the types.
fn tables(schema: &Schema) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for key in schema.keys() {
        let above = key.path.split_last().map_or(Vec::new(), |(_, above)| above.to_vec());
        match tables.iter_mut().find(|(table, _)| *table == above) {
            Some((_, keys)) => keys.push(key),
            None => tables.push((above, vec![key])),
        }
    }
    tables
}

/// `[[routes.NAME.targets]]` for a list of tables, as it is written in the file.
fn heading(table: &[String]) -> String {
    let name = |parts: &[String]| parts.join(".").replace('*', "NAME");
    match table.split_last() {
        None => "At the top".to_owned(),
        Some((last, above)) if last == "0" => format!("`[[{}]]`", name(above)),
        Some(_) => format!("`[{}]`", name(table)),
    }
}

fn row(key: &Key<'_>, defaults: &Value) -> String {
    let name = key.path.last().map_or("", |last| if last == "*" { "NAME" } else { last });
    let variable =
        format!("{ENV_PREFIX}{}", key.path.join("__").replace('*', "NAME").to_uppercase());
    let in_force = key.path.iter().try_fold(defaults, |value, name| value.get(name));
    let default = in_force.or_else(|| key.node.default()).filter(|value| !value.is_null());
    let default = default.map_or("none".to_owned(), |value| format!("`{value}`"));
    format!(
        "| `{name}`<br>`{variable}` | {} | {} | {} |\n",
        super::cell(&key.help),
        super::cell(&key.node.expects()),
        super::cell(&default)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn the_example_is_a_configuration() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("bartizan.toml");
        std::fs::write(&file, EXAMPLE).expect("written");
        let sources = Sources { file: Some(file), environment: Vec::new() };
        let loaded = sources.load().expect("can be used");
        assert_eq!(loaded.config.routes.len(), 1);
    }

    #[test]
    fn every_table_stands_once_and_every_key_in_one() {
        let page = page().expect("written");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        let mut once = headings.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), headings.len(), "{headings:?}");
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Schema::of::<Config>().keys().len());
    }
}
