//! Approvals: a person's word for one thing, once, for a while.
//!
//! The same record and check serve held requests, and later break-glass, tool
//! calls and playbooks. The room that keeps the record (the store) must replace
//! it under its version after [`Approval::redeem`], before it acts on the token:
//! then of two that redeem at once only one goes on.

use std::{ops::Deref, time::Duration};

use bartizan_core::{Cx, Id, Timestamp, json};
use serde::{Deserialize, Serialize};

use crate::Error;

/// LIMIT: reasons are for a person to read on a screen, in bytes.
const REASON_BYTES_MAX: usize = 2048;
/// LIMIT: kinds, subjects and names are identifiers, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What a person says to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Approve,
    Deny,
}

/// Where an approval stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase", deny_unknown_fields)]
pub enum State {
    Pending,
    Approved { by: String, at: Timestamp, why: String },
    Denied { by: String, at: Timestamp, why: String },
    Used { by: String, at: Timestamp },
}

/// The facts of an approval, to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRecord {
    pub id: Id,
    /// What sort of thing it is for, such as `held-request`.
    pub kind: String,
    /// The digest of the one thing that it is for.
    pub subject: String,
    /// Why it is needed.
    pub reason: String,
    pub requested_by: String,
    pub requested_at: Timestamp,
    pub expires_at: Timestamp,
    /// Whether the person who asked may not decide.
    pub by_another: bool,
    pub state: State,
}

/// An approval: its fields can be read, and change by its methods only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Approval(ApprovalRecord);

// Reading without writing: there is no `DerefMut`.
impl Deref for Approval {
    type Target = ApprovalRecord;

    fn deref(&self) -> &ApprovalRecord {
        &self.0
    }
}

impl Approval {
    /// Asks for an approval of the thing whose digest is `subject`.
    pub fn request(
        cx: &Cx,
        kind: &str,
        subject: &str,
        reason: &str,
        by: &str,
        ttl: Duration,
    ) -> Self {
        let now = cx.now();
        Self(ApprovalRecord {
            id: Id::new(cx),
            kind: name(kind),
            subject: subject.to_owned(),
            reason: json::clip(reason, REASON_BYTES_MAX).to_owned(),
            requested_by: name(by),
            requested_at: now,
            expires_at: now.after(ttl),
            by_another: false,
            state: State::Pending,
        })
    }

    /// Another person than the one who asks must decide it.
    #[must_use]
    pub fn by_another(mut self) -> Self {
        self.0.by_another = true;
        self
    }

    /// Records a person's decision.
    ///
    /// # Errors
    /// When it was decided before, is expired, or this person may not decide it.
    pub fn decide(
        &mut self,
        cx: &Cx,
        by: &str,
        decision: Decision,
        why: &str,
    ) -> Result<(), Error> {
        let id = self.id;
        if self.state != State::Pending {
            return Err(Error::Decided { id, state: self.state_name() });
        }
        self.alive(cx)?;
        if self.by_another && name(by) == self.requested_by {
            return Err(Error::SamePerson { id, by: name(by) });
        }
        let (by, at) = (name(by), cx.now());
        let why = json::clip(why, REASON_BYTES_MAX).to_owned();
        self.0.state = match decision {
            Decision::Approve => State::Approved { by, at, why },
            Decision::Deny => State::Denied { by, at, why },
        };
        Ok(())
    }

    /// Lets `item`, whose digest is `subject`, pass: once.
    ///
    /// # Errors
    /// When it is not approved, is for another thing, expired, or was used before.
    /// The approval is then as it was, and the item is gone.
    pub fn redeem<T>(&mut self, cx: &Cx, subject: &str, item: T) -> Result<Approved<T>, Error> {
        let id = self.id;
        let by = match &self.state {
            State::Approved { by, .. } => by.clone(),
            State::Pending => return Err(Error::Pending { id }),
            State::Denied { by, why, .. } => {
                return Err(Error::Refused { id, by: by.clone(), why: why.clone() });
            }
            State::Used { at, .. } => return Err(Error::Used { id, at: *at }),
        };
        if subject != self.subject {
            let subject_of_this = self.subject.clone();
            return Err(Error::OtherSubject {
                id,
                subject: subject_of_this,
                other: json::clip(subject, NAME_BYTES_MAX).to_owned(),
            });
        }
        self.alive(cx)?;
        self.0.state = State::Used { by, at: cx.now() };
        Ok(Approved { item, approval: id })
    }

    /// Whether it still waits for a person.
    pub fn is_pending(&self, cx: &Cx) -> bool {
        self.state == State::Pending && !self.is_expired(cx)
    }

    pub fn is_denied(&self) -> bool {
        matches!(self.state, State::Denied { .. })
    }

    pub fn is_expired(&self, cx: &Cx) -> bool {
        cx.now() >= self.expires_at
    }

    /// `pending`, `approved`, `denied` or `used`.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Pending => "pending",
            State::Approved { .. } => "approved",
            State::Denied { .. } => "denied",
            State::Used { .. } => "used",
        }
    }

    fn alive(&self, cx: &Cx) -> Result<(), Error> {
        if self.is_expired(cx) {
            return Err(Error::Expired { id: self.id, at: self.expires_at });
        }
        Ok(())
    }
}

fn name(text: &str) -> String {
    json::clip(text, NAME_BYTES_MAX).to_owned()
}

/// A thing that a person let pass. Minted by [`Approval::redeem`] alone.
#[derive(Debug)]
#[must_use = "an approval was used up for this"]
pub struct Approved<T> {
    item: T,
    approval: Id,
}

impl<T> Approved<T> {
    pub fn get(&self) -> &T {
        &self.item
    }

    /// The approval that it rests on.
    pub fn approval(&self) -> Id {
        self.approval
    }

    /// The thing itself, without the proof.
    pub fn into_inner(self) -> T {
        self.item
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn asked(cx: &Cx) -> Approval {
        Approval::request(cx, "held-request", "sha256:aa", "GD001", "key-1", HOUR)
    }

    #[test]
    fn the_form_at_rest_is_stable() {
        let (cx, _) = sim::cx(1);
        let mut approval = asked(&cx);
        approval.decide(&cx, "ada", Decision::Approve, "is a test").expect("pending");
        let text = serde_json::to_string(&approval).expect("plain data");
        let expected = r#"{"id":"019b76da-a800-715c-8289-ec2d0a9167ec","kind":"held-request","subject":"sha256:aa","reason":"GD001","requested_by":"key-1","requested_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T01:00:00Z","by_another":false,"state":{"is":"approved","by":"ada","at":"2026-01-01T00:00:00Z","why":"is a test"}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Approval>(&text).expect("reads back"), approval);
    }

    #[test]
    fn an_unknown_field_at_rest_is_refused() {
        let (cx, _) = sim::cx(1);
        let text = serde_json::to_string(&asked(&cx)).expect("plain data");
        let more = text.replacen('{', r#"{"approved":true,"#, 1);
        assert!(serde_json::from_str::<Approval>(&more).is_err());
    }

    #[test]
    fn long_reasons_are_clipped_between_characters() {
        let (cx, _) = sim::cx(1);
        let approval =
            Approval::request(&cx, "k", "s", &"é".repeat(REASON_BYTES_MAX), "key-1", HOUR);
        assert!(approval.reason.len() <= REASON_BYTES_MAX);
        assert!(approval.reason.chars().all(|c| c == 'é'));
    }
}
