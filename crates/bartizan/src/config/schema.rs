//! What keys there are, what each takes, and what it is for: read from the JSON
//! schema that the settings' types and doc comments make.

use serde_json::{Map, Value};

/// LIMIT: settings are not nested deeper; the walk stops there.
const DEPTH_MAX: usize = 12;

/// The schema of the whole configuration.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
}

/// One place in the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    root: &'a Value,
    /// As the field has it: with its own description and default.
    here: &'a Value,
    /// With references followed, and `null` set aside.
    shape: &'a Value,
}

/// What a key takes.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    /// Named keys.
    Table(&'a Map<String, Value>),
    /// Keys that the operator names.
    Map(&'a Value),
    List(&'a Value),
    Text,
    Choice(Vec<&'a str>),
    Whole,
    Fraction,
    Switch,
}

/// A key that can be set, with its path; `*` stands for a name of the operator's,
/// `0` for a place in a list.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) path: Vec<String>,
    pub(crate) node: Node<'a>,
    /// What it is for.
    pub(crate) help: String,
}

impl Schema {
    pub(crate) fn of<T: schemars::JsonSchema>() -> Self {
        let root = schemars::generate::SchemaSettings::draft2020_12()
            .into_generator()
            .into_root_schema_for::<T>();
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node::new(&self.root, &self.root)
    }

    /// The place of a path.
    pub(crate) fn at(&self, path: &[String]) -> Option<Node<'_>> {
        path.iter().try_fold(self.root(), |node, name| node.child(name))
    }

    /// Every key that takes a value, in the order of the types.
    pub(crate) fn keys(&self) -> Vec<Key<'_>> {
        let mut keys = Vec::new();
        gather(self.root(), &mut Vec::new(), &mut keys);
        keys
    }
}

fn gather<'a>(node: Node<'a>, path: &mut Vec<String>, keys: &mut Vec<Key<'a>>) {
    if path.len() > DEPTH_MAX {
        return;
    }
    let mut below = |name: &str, schema: &'a Value| {
        path.push(name.to_owned());
        gather(Node::new(node.root, schema), path, keys);
        path.pop();
    };
    match node.kind() {
        Kind::Table(properties) => {
            properties.iter().for_each(|(name, schema)| below(name, schema));
        }
        // What a map of plain values is for is said of the map.
        Kind::Map(schema) if !matches!(Node::new(node.root, schema).kind(), Kind::Table(_)) => {
            path.push("*".to_owned());
            let value = Node::new(node.root, schema);
            keys.push(Key { path: path.clone(), node: value, help: node.help() });
            path.pop();
        }
        Kind::Map(schema) => below("*", schema),
        Kind::List(schema) if matches!(Node::new(node.root, schema).kind(), Kind::Table(_)) => {
            below("0", schema);
        }
        _ => keys.push(Key { path: path.clone(), node, help: node.help() }),
    }
}

impl<'a> Node<'a> {
    fn new(root: &'a Value, here: &'a Value) -> Self {
        Self { root, here, shape: resolve(root, here) }
    }

    pub(crate) fn kind(self) -> Kind<'a> {
        let shape = self.shape;
        if let Some(choices) = choices(shape) {
            return Kind::Choice(choices);
        }
        match type_of(shape) {
            "integer" => Kind::Whole,
            "number" => Kind::Fraction,
            "boolean" => Kind::Switch,
            "array" => Kind::List(shape.get("items").unwrap_or(&Value::Null)),
            "object" => match shape.get("properties").and_then(Value::as_object) {
                Some(properties) => Kind::Table(properties),
                None => Kind::Map(shape.get("additionalProperties").unwrap_or(&Value::Null)),
            },
            _ => Kind::Text,
        }
    }

    /// The place below under this name.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        match self.kind() {
            Kind::Table(properties) => properties.get(name).map(|s| Self::new(self.root, s)),
            Kind::Map(schema) => Some(Self::new(self.root, schema)),
            Kind::List(schema) if name.parse::<usize>().is_ok() => {
                Some(Self::new(self.root, schema))
            }
            _ => None,
        }
    }

    /// The names that may stand here, where they are fixed.
    pub(crate) fn names(self) -> Vec<&'a str> {
        match self.kind() {
            Kind::Table(properties) => properties.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// What it is for: the field's words, else its type's.
    pub(crate) fn help(self) -> String {
        let text = |schema: &Value| schema.get("description")?.as_str().map(one_line);
        text(self.here).or_else(|| text(self.shape)).unwrap_or_default()
    }

    /// The default, where the type has one.
    pub(crate) fn default(self) -> Option<&'a Value> {
        self.here.get("default")
    }

    /// What it takes, in words: `a whole number`.
    pub(crate) fn expects(self) -> String {
        match self.kind() {
            Kind::Table(_) | Kind::Map(_) => "a table".to_owned(),
            Kind::List(schema) => match Self::new(self.root, schema).kind() {
                Kind::Text => "a list of texts".to_owned(),
                Kind::Table(_) => "a list of tables".to_owned(),
                _ => "a list".to_owned(),
            },
            Kind::Text => "a text".to_owned(),
            Kind::Choice(choices) => format!("one of `{}`", choices.join("`, `")),
            Kind::Whole => match self.bound("maximum") {
                Some(most) => format!("a whole number from {} to {most}", self.least()),
                None => format!("a whole number, at least {}", self.least()),
            },
            Kind::Fraction => "a number".to_owned(),
            Kind::Switch => "`true` or `false`".to_owned(),
        }
    }

    /// Whether a value is of the kind that is taken here.
    pub(crate) fn takes(self, value: &Value) -> bool {
        match self.kind() {
            Kind::Table(_) | Kind::Map(_) => value.is_object(),
            Kind::List(_) => value.is_array(),
            Kind::Text => value.is_string(),
            Kind::Choice(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
            Kind::Whole => value.as_i64().is_some_and(|n| {
                n >= self.least() && self.bound("maximum").is_none_or(|most| n <= most)
            }),
            Kind::Fraction => value.is_number(),
            Kind::Switch => value.is_boolean(),
        }
    }

    fn least(self) -> i64 {
        self.bound("minimum").unwrap_or(i64::MIN)
    }

    fn bound(self, name: &str) -> Option<i64> {
        let stated = self.shape.get(name).and_then(Value::as_i64);
        // schemars states no maximum for the widths that JSON numbers hold whole.
        let width = match self.shape.get("format").and_then(Value::as_str) {
            Some("uint32") => Some(i64::from(u32::MAX)),
            _ => None,
        };
        stated.or_else(|| width.filter(|_| name == "maximum"))
    }
}

fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        // `["string", "null"]`: an option.
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("")
        }
        _ => "",
    }
}

/// Follows `$ref`, and takes what is not `null` of an option.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|name| root.pointer(name.trim_start_matches('#')));
        let option = schema
            .get("anyOf")
            .and_then(Value::as_array)
            .and_then(|options| options.iter().find(|option| type_of(option) != "null"));
        match target.or(option) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The words of an enumeration, in either way that schemars writes them.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    let mut words = Vec::new();
    for variant in variants {
        match variant.get("const").and_then(Value::as_str) {
            Some(word) => words.push(word),
            None => words.extend(choices(variant)?),
        }
    }
    Some(words)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
