//! Whether a value fits a JSON schema: the part of the language that our document
//! uses. What it does not know makes it fail, so that nothing passes unlooked at.

use serde_json::Value;

/// Keywords that say nothing about which values fit, or that this reads below.
const KNOWN: &[&str] = &[
    "$ref",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "anyOf",
    "oneOf",
    "enum",
    "const",
    "minimum",
    "maximum",
    "description",
    "title",
    "default",
    "format",
];

pub(crate) fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(words) = schema else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{at}: nothing fits"))
        };
    };
    if let Some(word) = words.keys().find(|word| !KNOWN.contains(&word.as_str())) {
        return Err(format!("{at}: this test does not know the keyword `{word}`"));
    }
    if let Some(name) = words.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).ok_or(format!("{at}: {name}"))?;
        check(root, target, value, at)?;
    }
    if let Some(types) = words.get("type") {
        let fits = |name: &Value| is(name.as_str().unwrap_or_default(), value);
        let any = types.as_array().map_or_else(|| fits(types), |list| list.iter().any(fits));
        if !any {
            return Err(format!("{at}: {value} is not of type {types}"));
        }
    }
    if let Some(choices) = words.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return Err(format!("{at}: {value} is none of {choices:?}"));
    }
    if words.get("const").is_some_and(|only| only != value) {
        return Err(format!("{at}: {value} is not the constant"));
    }
    for (word, most) in [("anyOf", usize::MAX), ("oneOf", 1)] {
        if let Some(options) = words.get(word).and_then(Value::as_array) {
            let fit = options.iter().filter(|one| check(root, one, value, at).is_ok()).count();
            if fit == 0 || fit > most {
                return Err(format!("{at}: {value} fits {fit} of {word}"));
            }
        }
    }
    let least = words.get("minimum").and_then(Value::as_f64);
    if least.zip(value.as_f64()).is_some_and(|(least, number)| number < least) {
        return Err(format!("{at}: {value} is below the minimum"));
    }
    if let (Some(items), Value::Array(list)) = (words.get("items"), value) {
        for (i, item) in list.iter().enumerate() {
            check(root, items, item, &format!("{at}/{i}"))?;
        }
    }
    object(root, schema, value, at)
}

fn object(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(map) = value else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !map.contains_key(name.as_str().unwrap_or_default()) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, field) in map {
        let here = format!("{at}/{name}");
        // Stricter than the language: what is not described may not be answered.
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(described), _) => check(root, described, field, &here)?,
            (None, Some(described)) => check(root, described, field, &here)?,
            (None, None) if schema.get("properties").is_some() => {
                return Err(format!("{here} is not described"));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_check_itself_refuses() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": ["integer", "null"], "minimum": 0}, "b": {"enum": ["x"]}},
    });
    let fits = |value: Value| check(&schema, &schema, &value, "").is_ok();
    assert!(fits(serde_json::json!({"a": 1})) && fits(serde_json::json!({"a": null, "b": "x"})));
    for bad in [
        serde_json::json!({}),
        serde_json::json!({"a": "1"}),
        serde_json::json!({"a": -1}),
        serde_json::json!({"a": 1, "b": "y"}),
        serde_json::json!({"a": 1, "c": 1}),
        serde_json::json!([]),
    ] {
        assert!(!fits(bad.clone()), "{bad}");
    }
}
