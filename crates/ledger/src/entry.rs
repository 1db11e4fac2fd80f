//! An entry, and the proof that it is on disk under a signed checkpoint.

use bartizan_core::{Cx, Id, constants::LEDGER_ENTRY_BYTES_MAX, json};
use serde_json::{Map, Value};

use crate::{Error, canonical};

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
    pub(crate) fn encode(&mut self, cx: &Cx) -> Result<(Id, Vec<u8>), Error> {
        let id = Id::new(cx);
        let refuse = |problem| Error::Entry { problem };
        // Lent for a moment, since it may be large.
        let lent = Value::Object(std::mem::take(&mut self.body));
        let body = json::canonical(&lent).map_err(refuse)?;
        if let Value::Object(lent) = lent {
            self.body = lent;
        }
        let quoted = |text: &str| Value::from(text).to_string();
        // The members in the order of RFC 8785.
        let text = format!(
            r#"{{"actor":{},"body":{body},"id":"{id}","kind":{},"subject":{},"tenant":{},"time":{},"v":1}}"#,
            quoted(&self.actor),
            quoted(&self.kind),
            quoted(&self.subject),
            quoted(&self.tenant),
            cx.now().millis(),
        );
        let bytes = text.into_bytes();
        if bytes.len() > LEDGER_ENTRY_BYTES_MAX {
            let problem =
                format!("it is {} bytes, and at most {LEDGER_ENTRY_BYTES_MAX} fit", bytes.len());
            return Err(refuse(problem));
        }
        // What the verifier would refuse must never get in.
        canonical::check(&bytes).map_err(refuse)?;
        Ok((id, bytes))
    }
}

/// The proof that a value is in the ledger, on disk. Minted here alone.
///
/// It cannot be made elsewhere:
/// ```compile_fail,E0451
/// let forged = bartizan_ledger::Sealed { value: 1, id: todo!(), index: 0 };
/// ```
/// nor used twice:
/// ```compile_fail,E0599
/// fn twice(sealed: bartizan_ledger::Sealed<bartizan_ledger::Entry>) {
///     let copy: bartizan_ledger::Sealed<_> = sealed.clone();
/// }
/// ```
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
