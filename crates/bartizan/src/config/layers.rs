//! The layers of the configuration: a file, and the environment above it. Every
//! value remembers where it came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::{
    problem::Problem,
    schema::{Kind, Schema},
};

/// LIMIT: places in a list that the environment may name.
const LIST_MAX: usize = 256;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

/// A value with its origin.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) origin: Origin,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Leaf(Value),
    List(Vec<Tree>),
    Table(BTreeMap<String, Tree>),
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self { origin: Origin::Default, shape: Shape::Table(BTreeMap::new()) }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.shape {
            Shape::Leaf(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::to_json).collect(),
            Shape::Table(table) => {
                let pairs = table.iter().map(|(name, tree)| (name.clone(), tree.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        match &self.shape {
            Shape::Leaf(_) => None,
            Shape::List(items) => items.get(name.parse::<usize>().ok()?),
            Shape::Table(table) => table.get(name),
        }
    }

    /// Where the value at a path came from: from where its nearest part did.
    pub(crate) fn origin_of(&self, path: &[String]) -> Origin {
        let mut tree = self;
        for name in path {
            match tree.child(name) {
                Some(child) => tree = child,
                // Within a value that was given whole, what is not said is a default.
                None => return Origin::Default,
            }
        }
        tree.origin.clone()
    }

    fn from_json(value: Value, origin: &Origin) -> Self {
        let shape = match value {
            Value::Array(items) => {
                Shape::List(items.into_iter().map(|item| Self::from_json(item, origin)).collect())
            }
            Value::Object(map) => Shape::Table(
                map.into_iter().map(|(k, v)| (k, Self::from_json(v, origin))).collect(),
            ),
            leaf => Shape::Leaf(leaf),
        };
        Self { origin: origin.clone(), shape }
    }

    fn set(&mut self, path: &[String], value: Self) -> Result<(), String> {
        let Some((name, rest)) = path.split_first() else {
            *self = value;
            return Ok(());
        };
        if let (Shape::List(items), Ok(place)) = (&mut self.shape, name.parse::<usize>()) {
            if place > items.len() || place >= LIST_MAX {
                return Err(format!("names place {place} of a list of {}", items.len()));
            }
            if place == items.len() {
                items.push(Self { origin: value.origin.clone(), ..Self::empty() });
            }
            return items.get_mut(place).map_or(Ok(()), |item| item.set(rest, value));
        }
        if !matches!(self.shape, Shape::Table(_)) {
            *self = Self { origin: value.origin.clone(), ..Self::empty() };
        }
        match &mut self.shape {
            Shape::Table(table) => {
                let origin = value.origin.clone();
                let fresh = || Self { origin, ..Self::empty() };
                table.entry(name.clone()).or_insert_with(fresh).set(rest, value)
            }
            Shape::Leaf(_) | Shape::List(_) => Ok(()),
        }
    }
}

/// The layer of a file.
pub(crate) fn file(path: &Path, text: &str) -> Result<Tree, Problem> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let origin = Origin::File { path: path.to_owned(), line };
        Problem { origin, key: None, what: format!("not TOML: {}", error.message()), hint: None }
    })?;
    let reader = Reader { path, text };
    Ok(Tree { origin: reader.origin(0), shape: reader.table(table.get_ref()) })
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File { path: self.path.to_owned(), line: line_of(self.text, offset) }
    }

    fn table(&self, table: &DeTable<'_>) -> Shape {
        let pairs = table.iter().map(|(key, value)| {
            let tree =
                Tree { origin: self.origin(key.span().start), shape: self.shape(value.get_ref()) };
            (key.get_ref().to_string(), tree)
        });
        Shape::Table(pairs.collect())
    }

    fn shape(&self, value: &DeValue<'_>) -> Shape {
        match value {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(items) => Shape::List(
                items
                    .iter()
                    .map(|item| Tree {
                        origin: self.origin(item.span().start),
                        shape: self.shape(item.get_ref()),
                    })
                    .collect(),
            ),
            DeValue::Boolean(value) => Shape::Leaf(Value::Bool(*value)),
            DeValue::Integer(value) => {
                let number = i64::from_str_radix(value.as_str(), value.radix());
                // Beyond 64 bits it is a text, which no key of ours takes for a number.
                Shape::Leaf(number.map_or_else(|_| value.as_str().into(), Value::from))
            }
            DeValue::Float(value) => {
                Shape::Leaf(value.as_str().parse::<f64>().map_or(Value::Null, Value::from))
            }
            DeValue::String(text) => Shape::Leaf(text.to_string().into()),
            DeValue::Datetime(time) => Shape::Leaf(time.to_string().into()),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Lays one environment variable over the rest. `name` is without the prefix.
pub(crate) fn environment(
    tree: &mut Tree,
    schema: &Schema,
    variable: &str,
    name: &str,
    text: &str,
) -> Result<(), Problem> {
    let origin = Origin::Environment(variable.to_owned());
    let path = path_of(tree, name);
    let value = value_of(schema, &path, text);
    let tree_of_value = Tree::from_json(value, &origin);
    tree.set(&path, tree_of_value).map_err(|what| Problem {
        origin,
        key: Some(path.join(".")),
        what,
        hint: Some("places of a list are numbered from 0, without gaps".to_owned()),
    })
}

/// `ROUTES__CHAT__MODELS` is `routes.chat.models`; names that the file has are
/// found whatever their case.
fn path_of(tree: &Tree, name: &str) -> Vec<String> {
    let mut at = Some(tree);
    let mut path: Vec<String> = Vec::new();
    for part in name.split("__") {
        let known = at.and_then(|tree| match &tree.shape {
            Shape::Table(table) => table.keys().find(|key| key.eq_ignore_ascii_case(part)).cloned(),
            Shape::Leaf(_) | Shape::List(_) => None,
        });
        // Codes of rules are written in capitals.
        let is_code = path.len() == 3 && path.last().is_some_and(|last| last == "rules");
        let name = known.unwrap_or_else(|| match is_code {
            true => part.to_ascii_uppercase(),
            false => part.to_ascii_lowercase(),
        });
        at = at.and_then(|tree| tree.child(&name));
        path.push(name);
    }
    path
}

/// A text where a text is taken; anything else is read as TOML writes it.
fn value_of(schema: &Schema, path: &[String], text: &str) -> Value {
    let takes_text =
        schema.at(path).is_none_or(|node| matches!(node.kind(), Kind::Text | Kind::Choice(_)));
    if takes_text {
        return text.into();
    }
    let document = format!("value = {text}");
    let read = toml::from_str::<Map<String, Value>>(&document).ok();
    read.and_then(|mut map| map.remove("value")).unwrap_or_else(|| text.into())
}
