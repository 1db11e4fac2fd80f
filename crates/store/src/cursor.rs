//! Cursors: the place where a page ended, authenticated with the tenant's key.

use bartizan_core::{Id, Timestamp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Cursor, Error, Order, Query, Result,
    repository::Place,
    vault::{DataKey, frame},
};

const VERSION: u8 = 1;
const PLACE_BYTES: usize = 8 + 16;
const MAC_BYTES: usize = 16;

/// The cursor of a place in what this query finds.
pub(crate) fn write(key: &DataKey, query: &Query<'_>, place: Place) -> Cursor {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&place.time.millis().to_be_bytes());
    bytes.extend_from_slice(place.id.as_bytes());
    let mac = key.sign_cursor(&about(query, &bytes));
    bytes.extend_from_slice(&mac);
    Cursor(URL_SAFE_NO_PAD.encode(bytes))
}

/// The place of a cursor that [`write`] made for this query; without a key there was none.
pub(crate) fn read(key: Option<&DataKey>, query: &Query<'_>, cursor: &Cursor) -> Result<Place> {
    let refuse = || Error::Cursor(bartizan_core::json::clip(cursor.as_str(), 100).to_owned());
    let place = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).ok()?;
        let (signed, mac) = bytes.split_at_checked(1 + PLACE_BYTES)?;
        let expected = key?.sign_cursor(&about(query, signed));
        // Constant time: a byte more or less is not to be heard.
        let differs = expected.iter().zip(mac).fold(0, |differs, (a, b)| differs | (a ^ b));
        if mac.len() != MAC_BYTES || differs != 0 || signed.first() != Some(&VERSION) {
            return None;
        }
        let (time, id) = signed.get(1..)?.split_first_chunk::<8>()?;
        Some(Place {
            time: Timestamp::from_millis(i64::from_be_bytes(*time)),
            id: Id::from_bytes(id.try_into().ok()?),
        })
    };
    place().ok_or_else(refuse)
}

/// What a cursor holds for: the tenant's key says the tenant.
fn about(query: &Query<'_>, place: &[u8]) -> Vec<u8> {
    let order: &[u8] = match query.order {
        Order::Newest => b"newest",
        Order::Oldest => b"oldest",
    };
    let mut parts = vec![query.class.name.as_bytes(), order, place];
    for (facet, value) in &query.filters {
        parts.push(facet.as_bytes());
        parts.push(value.as_bytes());
    }
    frame(&parts)
}
