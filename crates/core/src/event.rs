//! An event: something that happened, in the classes and field names of OCSF 1.x.
//!
//! Source: the Open Cybersecurity Schema Framework, version 1.5.0.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Cx, Id, Severity, Tenant, Timestamp, constants::OCSF_VERSION};

/// An event class of OCSF (`class_uid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventClass {
    /// 2004: a finding of a detection.
    DetectionFinding,
    /// 3001: accounts and keys made, changed, removed.
    AccountChange,
    /// 3002: someone proved who they are, or failed to.
    Authentication,
    /// 6002: a program started, stopped or was set up.
    ApplicationLifecycle,
    /// 6003: a call of an API; a request through the gateway is one.
    ApiActivity,
    /// Any other class, kept as it came.
    Other(u32),
}

impl EventClass {
    /// OCSF's `class_uid`.
    pub const fn uid(self) -> u32 {
        match self {
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
            Self::Other(uid) => uid,
        }
    }

    /// OCSF's `category_uid`: the thousands of the class.
    pub const fn category_uid(self) -> u32 {
        self.uid() / 1000
    }

    pub const fn from_uid(uid: u32) -> Self {
        match uid {
            2004 => Self::DetectionFinding,
            3001 => Self::AccountChange,
            3002 => Self::Authentication,
            6002 => Self::ApplicationLifecycle,
            6003 => Self::ApiActivity,
            other => Self::Other(other),
        }
    }
}

/// OCSF's `activity_id`: what was done, numbered within the class. 99 is 'other'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Activity(pub u8);

impl Activity {
    pub const CREATE: Self = Self(1);
    pub const READ: Self = Self(2);
    pub const UPDATE: Self = Self(3);
    pub const DELETE: Self = Self(4);
    pub const OTHER: Self = Self(99);
}

/// Something that happened.
///
/// `attributes` holds what the class defines beyond the base fields, under OCSF's
/// names; `unmapped` keeps what the source said and OCSF has no name for.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Id,
    pub time: Timestamp,
    pub tenant: Tenant,
    pub class: EventClass,
    pub activity: Activity,
    pub severity: Severity,
    pub message: String,
    pub attributes: Map<String, Value>,
    pub unmapped: Map<String, Value>,
}

impl Event {
    /// An event of now.
    pub fn new(cx: &Cx, tenant: Tenant, class: EventClass, activity: Activity) -> Self {
        Self {
            id: Id::new(cx),
            time: cx.now(),
            tenant,
            class,
            activity,
            severity: Severity::Informational,
            message: String::new(),
            attributes: Map::new(),
            unmapped: Map::new(),
        }
    }

    /// The OCSF form.
    pub fn to_ocsf(&self) -> Value {
        let mut out = self.attributes.clone();
        let uid = self.class.uid();
        out.insert("class_uid".into(), uid.into());
        out.insert("category_uid".into(), self.class.category_uid().into());
        out.insert("activity_id".into(), self.activity.0.into());
        out.insert("type_uid".into(), (u64::from(uid) * 100 + u64::from(self.activity.0)).into());
        out.insert("time".into(), self.time.millis().into());
        out.insert("severity_id".into(), self.severity.ocsf_id().into());
        if !self.message.is_empty() {
            out.insert("message".into(), self.message.as_str().into());
        }
        out.insert(
            "metadata".into(),
            serde_json::json!({
                "uid": self.id, "version": OCSF_VERSION, "tenant_uid": self.tenant,
                "product": {"name": "Bartizan", "vendor_name": "Bartizan"},
            }),
        );
        if !self.unmapped.is_empty() {
            out.insert("unmapped".into(), Value::Object(self.unmapped.clone()));
        }
        Value::Object(out)
    }

    /// Reads the OCSF form of [`Event::to_ocsf`]; what has no field stays in `attributes`.
    ///
    /// # Errors
    /// The name of the first field that is missing or of the wrong type.
    pub fn from_ocsf(value: Value) -> Result<Self, &'static str> {
        let Value::Object(mut map) = value else {
            return Err("the event is not an object");
        };
        let metadata = map.remove("metadata").unwrap_or_default();
        let text = |name: &str| metadata.get(name).and_then(Value::as_str);
        let number =
            |map: &mut Map<String, Value>, name: &str| map.remove(name).and_then(|v| v.as_i64());
        let class = number(&mut map, "class_uid").and_then(|n| u32::try_from(n).ok());
        let activity = number(&mut map, "activity_id").and_then(|n| u8::try_from(n).ok());
        let time = number(&mut map, "time").ok_or("`time` is not a number")?;
        let severity = number(&mut map, "severity_id");
        for derived in ["category_uid", "type_uid"] {
            map.remove(derived);
        }
        let message = match map.remove("message") {
            Some(Value::String(message)) => message,
            _ => String::new(),
        };
        let unmapped = match map.remove("unmapped") {
            Some(Value::Object(unmapped)) => unmapped,
            _ => Map::new(),
        };
        Ok(Self {
            id: text("uid").and_then(|t| t.parse().ok()).ok_or("`metadata.uid` is not an id")?,
            time: Timestamp::from_millis(time),
            tenant: text("tenant_uid")
                .and_then(|t| t.parse().ok())
                .ok_or("`metadata.tenant_uid` is no tenant")?,
            class: EventClass::from_uid(class.ok_or("`class_uid` is not a number")?),
            activity: Activity(activity.ok_or("`activity_id` is not a small number")?),
            severity: match severity {
                Some(2) => Severity::Low,
                Some(3) => Severity::Medium,
                Some(4) => Severity::High,
                Some(5 | 6) => Severity::Critical,
                _ => Severity::Informational,
            },
            message,
            attributes: map,
            unmapped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_ocsf_form_with_its_unmapped_attributes() {
        let (cx, _) = crate::sim::cx(3);
        let mut event =
            Event::new(&cx, Tenant::default(), EventClass::ApiActivity, Activity::CREATE);
        event.message = "chat".into();
        event.severity = Severity::High;
        event.attributes.insert("api".into(), serde_json::json!({"operation": "chat.completions"}));
        event.unmapped.insert("rule_codes".into(), serde_json::json!(["GD001"]));
        let wire = event.to_ocsf();
        assert_eq!(wire.get("type_uid"), Some(&600_301.into()));
        assert_eq!(wire.get("category_uid"), Some(&6.into()));
        assert_eq!(Event::from_ocsf(wire), Ok(event));
    }

    #[test]
    fn a_broken_event_names_the_field() {
        assert_eq!(
            Event::from_ocsf(serde_json::json!({"time": 1})),
            Err("`metadata.uid` is not an id")
        );
        assert_eq!(Event::from_ocsf(serde_json::json!({})), Err("`time` is not a number"));
        assert_eq!(Event::from_ocsf(serde_json::json!([])), Err("the event is not an object"));
    }
}
