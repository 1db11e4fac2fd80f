//! The list of models, made from the gateway's own routes.

use bartizan_core::Timestamp;
use http::Method;
use serde_json::{Value, json};

use super::Provider;

/// What is asked: `Some("")` for the list, a name for one model, none for another path.
pub fn wanted<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix("/v1/models")?;
    let one = if rest.is_empty() {
        Some("")
    } else {
        rest.strip_prefix('/').filter(|name| !name.is_empty())
    };
    one.filter(|_| *method == Method::GET)
}

/// The answer; none when the one model that is asked for is not there.
pub fn render(provider: Provider, names: &[String], wanted: &str, now: Timestamp) -> Option<Value> {
    let one = |name: &String| match provider {
        Provider::OpenAi => {
            json!({"id": name, "object": "model", "created": now.millis() / 1000, "owned_by": "bartizan"})
        }
        Provider::Anthropic => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": now})
        }
    };
    if !wanted.is_empty() {
        let wanted = decode(wanted);
        return names.iter().find(|name| **name == wanted).map(one);
    }
    let data: Vec<Value> = names.iter().map(one).collect();
    Some(match provider {
        Provider::OpenAi => json!({"object": "list", "data": data}),
        Provider::Anthropic => {
            json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
    })
}

/// A name out of a path: SDKs write the slash of `vendor/model` as `%2F`.
fn decode(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = (ahead.next().map(char::from), ahead.next().map(char::from));
        let digit =
            |c: Option<char>| c.and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (byte, digit(digits.0), digit(digits.1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high * 16 + low);
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_asked_for_by_its_path() {
        for (method, path, expected) in [
            (Method::GET, "/v1/models", Some("")),
            (Method::GET, "/v1/models/gpt-4o", Some("gpt-4o")),
            (Method::GET, "/v1/models/", None),
            (Method::GET, "/v1/modelsx", None),
            (Method::DELETE, "/v1/models/gpt-4o", None),
            (Method::POST, "/v1/models", None),
        ] {
            assert_eq!(wanted(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn models_are_listed_as_each_provider_lists_them() {
        let names = ["gpt-4o".to_owned(), "acme/large".to_owned()];
        let now = Timestamp::from_millis(1_700_000_000_000);
        let list = render(Provider::OpenAi, &names, "", now).expect("a list");
        assert_eq!(
            list["data"][1],
            json!({"id": "acme/large", "object": "model", "created": 1_700_000_000, "owned_by": "bartizan"})
        );
        let list = render(Provider::Anthropic, &names, "", now).expect("a list");
        assert_eq!(
            (&list["first_id"], &list["last_id"], &list["has_more"]),
            (&json!("gpt-4o"), &json!("acme/large"), &json!(false))
        );
        assert!(
            list["data"][0]["created_at"]
                .as_str()
                .is_some_and(|time| time.starts_with("2023-11-14T"))
        );
        let one = render(Provider::OpenAi, &names, "acme%2Flarge", now).expect("it is listed");
        assert_eq!(one["id"], "acme/large");
        assert_eq!(render(Provider::OpenAi, &names, "other", now), None);
        assert_eq!(
            render(Provider::Anthropic, &[], "", now).map(|list| list["first_id"].clone()),
            Some(Value::Null)
        );
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%2"), "%zz%2");
    }
}
