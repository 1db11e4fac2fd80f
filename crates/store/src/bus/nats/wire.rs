//! How an event travels: its subject and its headers.

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bartizan_core::Timestamp;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

use crate::{
    bus::outbox::Under,
    hex,
    repository::{OutboxRow, WrappedKey},
    vault::frame,
};

/// How many partitions there are; a change needs another stream.
pub(super) const PARTITIONS: u8 = 16;
pub(super) const SUBJECTS: &str = "bartizan.events.>";
const TENANT: &str = "Bartizan-Tenant";
const TIME: &str = "Bartizan-Time";
const KEY: &str = "Bartizan-Key";
const ID: &str = "Nats-Msg-Id";

/// The partition of an entity: the same for all nodes and versions.
pub(super) fn partition(tenant: &str, entity: &str) -> u8 {
    let digest = digest(&SHA256, &frame(&[tenant.as_bytes(), entity.as_bytes()]));
    digest.as_ref().first().map_or(0, |byte| byte % PARTITIONS)
}

/// Where an event goes. The tenant is in it so that what an erased one left can be removed.
pub(super) fn subject(row: &OutboxRow) -> String {
    format!("bartizan.events.{}.{}", partition(&row.tenant, &row.entity), row.tenant)
}

/// Where the events of a partition come from.
pub(super) fn subjects_of_partition(partition: u8) -> String {
    format!("bartizan.events.{partition}.*")
}

/// Where all of a tenant's events are.
pub(super) fn subjects_of_tenant(tenant: &str) -> String {
    format!("bartizan.events.*.{tenant}")
}

/// An event as a message.
pub(super) fn write(row: &OutboxRow, under: &Under) -> PublishMessage {
    let mut key = hex::encode(&under.id);
    if let Some(wrapped) = &under.wrapped {
        let time = wrapped.time.millis();
        key = format!("{key} {} {time} {}", wrapped.master, STANDARD.encode(&wrapped.wrapped));
    }
    PublishMessage::build()
        .message_id(row.id.to_string())
        .header(TENANT, row.tenant.as_str())
        .header(TIME, row.time.millis().to_string())
        .header(KEY, key)
        .payload(row.body.clone().into())
}

/// The event that a message is; `None` when it is none of ours.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<(OutboxRow, Under)> {
    let header = |name: &str| Some(headers.get(name)?.as_str());
    let row = OutboxRow {
        place: 0,
        tenant: header(TENANT)?.to_owned(),
        id: header(ID)?.parse().ok()?,
        entity: String::new(),
        time: Timestamp::from_millis(header(TIME)?.parse().ok()?),
        body: body.to_vec(),
    };
    let mut parts = header(KEY)?.split(' ');
    let id = hex::decode(parts.next()?)?;
    let wrapped = match (parts.next(), parts.next(), parts.next()) {
        (None, _, _) => None,
        (Some(master), Some(time), Some(wrapped)) => Some(WrappedKey {
            tenant: row.tenant.clone(),
            id,
            master: master.to_owned(),
            wrapped: STANDARD.decode(wrapped).ok()?,
            time: Timestamp::from_millis(time.parse().ok()?),
        }),
        _ => return None,
    };
    Some((row, Under { id, wrapped }))
}

#[cfg(test)]
mod tests {
    use bartizan_core::{Id, sim};

    use super::*;

    #[test]
    fn an_entity_has_its_partition_for_ever() {
        // `printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\1e' | sha256sum` and so on, modulo 16.
        for (tenant, entity, expected) in [("a", "e", 2), ("a", "f", 13), ("default", "default", 2)]
        {
            assert_eq!(partition(tenant, entity), expected, "{tenant} {entity}");
        }
        let used: std::collections::BTreeSet<u8> =
            (0..1000).map(|n| partition("a", &n.to_string())).collect();
        assert_eq!(used.len(), usize::from(PARTITIONS));
    }

    #[test]
    fn an_event_is_read_as_it_was_written_and_what_is_none_is_not() {
        let (cx, _) = sim::cx(1);
        let row = OutboxRow {
            place: 0,
            tenant: "a".into(),
            id: Id::new(&cx),
            entity: String::new(),
            time: cx.now(),
            body: vec![0, 255],
        };
        let wrapped = WrappedKey {
            tenant: "a".into(),
            id: [7; 16],
            master: "m1".into(),
            wrapped: vec![1, 2],
            time: Timestamp::from_millis(-5),
        };
        for wrapped in [None, Some(wrapped)] {
            let under = Under { id: [7; 16], wrapped };
            let message = write(&row, &under).outbound_message(subject(&row));
            let headers = message.headers.expect("headers");
            assert_eq!(read(&headers, &message.payload), Some((row.clone(), under)));
            for name in [TENANT, TIME, KEY, ID] {
                for bad in ["", "x", "é", "07070707070707070707070707070707 m"] {
                    let mut headers = headers.clone();
                    headers.insert(name, bad);
                    let got = read(&headers, &message.payload);
                    assert!(name == TENANT || got.is_none(), "{name}: {bad}");
                }
            }
        }
        assert_eq!(read(&HeaderMap::new(), b""), None);
    }
}
