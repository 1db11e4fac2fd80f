//! An entry, and the proof that it is on disk under a signed checkpoint.

use bartizan_core::{Cx, Id, constants::LEDGER_ENTRY_BYTES_MAX, json};
use serde_json::{Map, Value, json};

use crate::Error;

/// Something that happened, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub kind: String,
    /// A keyed tag of the tenant, never its name.
    pub tenant: String,
    pub actor: String,
    pub subject: String,
    pub body: Map<String, Value>,
}

impl Entry {
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            tenant: String::new(),
            actor: String::new(),
            subject: String::new(),
            body: Map::new(),
        }
    }

    #[must_use]
    pub fn tenant(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tenant);
        self
    }

    #[must_use]
    pub fn actor(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.actor);
        self
    }

    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }

    /// The bytes of the leaf: canonical JSON, stamped with an id and the time.
    pub(crate) fn encode(&self, cx: &Cx) -> Result<(Id, Vec<u8>), Error> {
        let id = Id::new(cx);
        let value = json!({
            "v": 1, "id": id, "time": cx.now().millis(), "kind": self.kind, "tenant": self.tenant,
            "actor": self.actor, "subject": self.subject, "body": self.body,
        });
        let bytes =
            json::canonical(&value).map_err(|problem| Error::Entry { problem })?.into_bytes();
        if bytes.len() > LEDGER_ENTRY_BYTES_MAX {
            let problem =
                format!("it is {} bytes, and at most {LEDGER_ENTRY_BYTES_MAX} fit", bytes.len());
            return Err(Error::Entry { problem });
        }
        Ok((id, bytes))
    }
}

/// The proof that a value is in the ledger, on disk. Minted here alone.
#[derive(Debug)]
#[must_use]
pub struct Sealed<T> {
    value: T,
    id: Id,
    index: u64,
}

impl<T> Sealed<T> {
    pub(crate) fn new(value: T, id: Id, index: u64) -> Self {
        Self { value, id, index }
    }

    pub fn get(&self) -> &T {
        &self.value
    }

    pub fn id(&self) -> Id {
        self.id
    }

    pub fn index(&self) -> u64 {
        self.index
    }
}
