//! The world of the story: customers, documents, and an outbox. It is what the
//! assistant's tools act upon, and what the judge looks at.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use super::story::Story;

/// How many documents a search gives.
const HITS_MAX: usize = 3;
// LIMIT: mails kept; a model gone wild must not fill the memory.
const MAILS_MAX: usize = 1000;

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mail {
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) body: String,
}

/// What tools may look at and change.
#[derive(Clone, Debug)]
pub(super) struct World {
    story: Arc<Story>,
    pub(super) outbox: Vec<Mail>,
}

impl World {
    pub(super) fn new(story: &Arc<Story>) -> Self {
        Self { story: story.clone(), outbox: Vec::new() }
    }

    /// The tools, as the OpenAI protocol describes them.
    pub(super) fn tools() -> Value {
        let tool = |name: &str, description: &str, parameters: &[(&str, &str)]| {
            let properties: serde_json::Map<_, _> = parameters
                .iter()
                .map(|(name, about)| {
                    ((*name).to_owned(), json!({"type": "string", "description": about}))
                })
                .collect();
            let required: Vec<_> = parameters.iter().map(|(name, _)| *name).collect();
            json!({"type": "function", "function": {"name": name, "description": description,
                "parameters": {"type": "object", "properties": properties, "required": required}}})
        };
        json!([
            tool(
                "search_documents",
                "Finds documents of the house by their words.",
                &[("query", "Words to look for.")]
            ),
            tool(
                "read_document",
                "Gives the text of one document.",
                &[("id", "The document's id.")]
            ),
            tool(
                "lookup_customer",
                "Gives customers with their orders, e-mail, phone, card and payment data.",
                &[("query", "A name, a customer number or a city; * for all.")]
            ),
            tool(
                "send_mail",
                "Sends a mail.",
                &[("to", "The address."), ("subject", "A line."), ("body", "The text.")]
            ),
        ])
    }

    /// Runs a tool; a failure is a result too, for the model to read.
    pub(super) fn call(&mut self, name: &str, arguments: &Value) -> String {
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        match name {
            "search_documents" => self.search(argument("query")),
            "read_document" => self.read(argument("id")),
            "lookup_customer" => self.lookup(argument("query")),
            "send_mail" => self.send(argument("to"), argument("subject"), argument("body")),
            other => format!("error: there is no tool `{}`", bartizan_core::json::clip(other, 64)),
        }
    }

    fn search(&self, query: &str) -> String {
        let wanted = words(query);
        let score = |text: &str| words(text).intersection(&wanted).count();
        let mut hits: Vec<_> = self
            .story
            .documents
            .iter()
            // A word of the title says more than one of the text.
            .map(|document| (3 * score(&document.title) + score(&document.text), document))
            .filter(|(score, _)| *score > 0)
            .collect();
        hits.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let hits: Vec<_> = hits
            .into_iter()
            .take(HITS_MAX)
            .map(|(_, document)| json!({"id": document.id, "title": document.title}))
            .collect();
        Value::from(hits).to_string()
    }

    fn read(&self, id: &str) -> String {
        let document = self.story.documents.iter().find(|document| document.id == id);
        document.map_or_else(
            || "error: there is no such document".to_owned(),
            |document| document.text.clone(),
        )
    }

    fn lookup(&self, query: &str) -> String {
        let query = query.trim().to_lowercase();
        let fits = |customer: &&serde_json::Map<String, Value>| {
            query == "*"
                || customer
                    .values()
                    .filter_map(Value::as_str)
                    .any(|value| value.to_lowercase().contains(&query))
        };
        let found: Vec<_> = self
            .story
            .customers
            .iter()
            .filter(fits)
            .filter(|_| !query.is_empty())
            .cloned()
            .collect();
        json!(found).to_string()
    }

    fn send(&mut self, to: &str, subject: &str, body: &str) -> String {
        if !to.contains('@') {
            return "error: `to` must be a mail address".to_owned();
        }
        if self.outbox.len() >= MAILS_MAX {
            return "error: the outbox is full".to_owned();
        }
        self.outbox.push(Mail {
            to: to.to_owned(),
            subject: subject.to_owned(),
            body: body.to_owned(),
        });
        "sent".to_owned()
    }
}

/// The words of a text, without their plural, longer than a particle.
fn words(text: &str) -> BTreeSet<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .map(|word| word.trim_end_matches("es").trim_end_matches(['s', 'e']))
        .filter(|word| word.chars().count() > 2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(&Arc::new(super::super::story::load(None).expect("the built-in story is sound")))
    }

    #[test]
    fn tools_find_read_and_send() {
        let mut world = world();
        let hits = world.call("search_documents", &json!({"query": "returning a book"}));
        let hits: Value = serde_json::from_str(&hits).expect("JSON");
        let id = hits.pointer("/0/id").cloned().expect("a hit");
        assert!(world.call("read_document", &json!({"id": id})).contains("30 days"));
        let all: Value =
            serde_json::from_str(&world.call("lookup_customer", &json!({"query": "*"})))
                .expect("JSON");
        assert!(all.as_array().is_some_and(|all| all.len() >= 3));
        assert_eq!(world.call("lookup_customer", &json!({"query": " "})), "[]");
        assert_eq!(world.call("send_mail", &json!({"to": "a@b.example", "body": "x"})), "sent");
        assert_eq!(world.outbox.len(), 1);
    }

    #[test]
    fn what_a_tool_cannot_do_is_said() {
        let mut world = world();
        for (name, arguments) in [
            ("no_tool", json!({})),
            ("read_document", json!(null)),
            ("send_mail", json!({"to": 7})),
        ] {
            assert!(world.call(name, &arguments).starts_with("error: "), "{name}");
        }
        assert!(world.outbox.is_empty());
    }
}
