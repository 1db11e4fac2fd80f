//! What is wrong with a configuration: where, which key, what was expected.

use std::fmt;

use serde_json::Value;

use super::{
    layers::{Origin, Shape, Tree},
    schema::Node,
};

/// The most of a value that a message shows, in bytes.
const SHOWN_BYTES_MAX: usize = 60;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) key: Option<String>,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        f.write_str(&self.what)
    }
}

/// Everything that is wrong, by the keys' order.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.listed())]
pub(crate) struct Wrong {
    pub(crate) problems: Vec<Problem>,
}

impl Wrong {
    fn listed(&self) -> String {
        match self.problems.as_slice() {
            [one] => one.to_string(),
            several => {
                let lines = several.iter().map(|problem| format!("\n  {problem}"));
                format!(
                    "the configuration has {} problems:{}",
                    several.len(),
                    lines.collect::<String>()
                )
            }
        }
    }

    pub(crate) fn hint(&self) -> String {
        let hints = self.problems.iter().find_map(|problem| problem.hint.clone());
        hints.unwrap_or_else(|| {
            "`docs/reference/configuration.md` lists every key; `bartizan doctor --effective` shows what is in force".to_owned()
        })
    }
}

/// Compares a tree with the schema.
pub(crate) fn check(tree: &Tree, node: Node<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(tree, node, &mut Vec::new(), &mut problems);
    problems
}

fn walk(tree: &Tree, node: Node<'_>, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let value = tree.to_json();
    if !node.takes(&value) {
        problems.push(Problem {
            origin: tree.origin.clone(),
            key: Some(path.join(".")),
            what: format!("is {}: expected {}", shown(&value), node.expects()),
            hint: None,
        });
        return;
    }
    let mut below = |name: &str, child: &Tree| {
        path.push(name.to_owned());
        match node.child(name) {
            Some(node) => walk(child, node, path, problems),
            None => problems.push(unknown(child, node, path)),
        }
        path.pop();
    };
    match &tree.shape {
        Shape::Leaf(_) => {}
        Shape::Table(table) => table.iter().for_each(|(name, child)| below(name, child)),
        Shape::List(items) => {
            items.iter().enumerate().for_each(|(place, child)| below(&place.to_string(), child));
        }
    }
}

fn unknown(tree: &Tree, parent: Node<'_>, path: &[String]) -> Problem {
    let name = path.last().map_or("", String::as_str);
    let names = parent.names();
    let above = path
        .split_last()
        .map_or(String::new(), |(_, above)| above.iter().map(|part| format!("{part}.")).collect());
    let known = match bartizan_core::nearest(name, names.iter().copied()) {
        Some(nearest) => format!("did you mean `{above}{nearest}`?"),
        None => format!("known here: {}", names.join(", ")),
    };
    Problem {
        origin: tree.origin.clone(),
        key: Some(path.join(".")),
        what: format!("is no key of the configuration; {known}"),
        hint: None,
    }
}

/// As much of a value as a message shows.
pub(super) fn clipped(text: &str) -> String {
    crate::output::printable(bartizan_core::json::clip(text, SHOWN_BYTES_MAX))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text `{}`", clipped(text)),
        Value::Number(number) => format!("the number `{number}`"),
        Value::Bool(switch) => format!("`{switch}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::Null => "not a number that can be written".to_owned(),
    }
}
