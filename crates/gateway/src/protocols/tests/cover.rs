//! Nothing travels unseen: a card number planted in any place of any protocol, as a
//! value of any type or as a key, is found, or the body is refused.
//!
//! These take seconds each: thousands of bodies go through every rule of the guard.

use bartizan_guard::Guard;
use serde_json::{Map, Value, json};

use super::{CARD, Call, REDACTED, Reply, fixtures, protocol, relay, screened};

/// The ways to plant it.
fn forms() -> Vec<Value> {
    let said = format!("so {CARD}, and ");
    vec![
        json!(said),
        json!(5_555_555_555_554_444_u64),
        json!([said]),
        json!({"text": said}),
        json!({said.as_str(): "x"}),
        json!([[{"deep": [said]}]]),
        json!(format!("data:text/plain,{said}")),
        json!(format!(" {} ", super::super::payload::write(&said))),
    ]
}

/// The JSON pointers of every value below this one.
pub(super) fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    if !at.is_empty() {
        out.push(at.to_owned());
    }
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{i}"), out);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                pointers(item, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        _ => {}
    }
}

/// The body with something planted in every place: in the place of each value, and
/// as one more field of each object. Every `step`th form in each place, the next
/// place beginning with the next form, so that every form is tried everywhere.
fn planted(body: &Value, step: usize) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    pointers(body, "", &mut places);
    let mut out = Vec::new();
    for (i, at) in places.iter().map(String::as_str).chain([""]).enumerate() {
        for form in forms().into_iter().skip(i % step).step_by(step) {
            if !at.is_empty() {
                let mut copy = body.clone();
                *copy.pointer_mut(at).expect("it is there") = form.clone();
                out.push((format!("{at} = {form}"), copy));
            }
            let mut copy = body.clone();
            if let Some(Value::Object(map)) = copy.pointer_mut(at) {
                map.insert("unheard_of".to_owned(), form.clone());
                out.push((format!("{at} + {form}"), copy));
            }
        }
        let mut copy = body.clone();
        if let Some(Value::Object(map)) = copy.pointer_mut(at) {
            map.insert(CARD.to_owned(), 1.into());
            out.push((format!("{at} + key"), copy));
        }
    }
    out
}

/// Whether the card can still be read, in the clear or in the packings above.
fn is_left(value: &Value) -> bool {
    let text = value.to_string();
    let packed = super::super::payload::write(&format!("so {CARD}, and "));
    [CARD, "5555555555554444", packed.as_str()].iter().any(|left| text.contains(left))
}

/// What each body became, and how many were refused.
fn check(name: &str, body: &Value, through: impl Fn(Value) -> Option<Value>) -> (usize, usize) {
    let (mut found, mut refused) = (0, 0);
    for (place, body) in planted(body, 1) {
        match through(body) {
            Some(after) => {
                assert!(!is_left(&after), "{name}: {place} went through unseen: {after}");
                found += 1;
            }
            None => refused += 1,
        }
    }
    (found, refused)
}

#[test]
fn what_is_planted_in_a_request_is_found() {
    let guard = Guard::new();
    for (name, body) in fixtures::requests() {
        let (found, refused) = check(name, &body, |body| {
            let call = protocol(name).read(body).ok()?;
            Some(screened(&guard, call, |call: Call| call.body().clone()))
        });
        assert!(found > 2 * refused && found > 40, "{name}: {found} found, {refused} refused");
    }
}

#[test]
fn what_is_planted_in_an_answer_is_found() {
    let guard = Guard::new();
    for (name, body) in fixtures::replies() {
        let (found, refused) = check(name, &body, |body| {
            let reply = protocol(name).reply(body).ok()?;
            Some(screened(&guard, reply, Reply::into_body))
        });
        assert!(found > 2 * refused && found > 15, "{name}: {found} found, {refused} refused");
    }
}

#[test]
fn what_is_planted_in_a_stream_is_found() {
    let guard = Guard::new();
    for (name, events) in fixtures::streams() {
        let mut found = 0;
        for i in 0..events.len() {
            // A whole stream each: a third of the forms in each place.
            for (place, event) in planted(&events[i], 3) {
                let mut events = events.clone();
                events[i] = event;
                let relay = relay::Relay::new(&guard, name, true);
                let Ok(relay) = relay.play(&relay::events(name, &events)) else { continue };
                let out = Value::from(relay::bodies(&relay.out));
                assert!(!is_left(&out), "{name}: event {i}, {place} went through unseen: {out}");
                let names = relay.out.iter().map(|event| event.name.as_str()).collect::<String>();
                assert!(
                    !is_left(&Value::from(names)),
                    "{name}: event {i}, {place} is an event's name"
                );
                found += 1;
            }
        }
        // A choice that is said to have ended does not go on: that is refused.
        assert!(found > 90, "{name}: {found} found");
    }
}

/// Joins what a client would join: the strings at the same place of every event.
fn joined(out: &[Value]) -> Map<String, Value> {
    let mut all = Map::new();
    for body in out {
        let index = ["index", "output_index"].iter().find_map(|name| body.get(name)?.as_u64());
        let choice = body.pointer("/choices/0/index").and_then(Value::as_u64);
        let prefix = format!("{index:?} {choice:?} {}", body["type"]);
        let mut places = Vec::new();
        pointers(body, "", &mut places);
        for at in places {
            if let Some(Value::String(text)) = body.pointer(&at) {
                let entry = all.entry(format!("{prefix} {at}")).or_insert_with(|| "".into());
                *entry = format!("{}{text}", entry.as_str().unwrap_or_default()).into();
            }
        }
    }
    all
}

#[test]
fn what_is_split_over_events_is_found() {
    let guard = Guard::new();
    for (name, events) in fixtures::streams() {
        let mut pairs = 0;
        for i in 0..events.len().saturating_sub(1) {
            let mut places = Vec::new();
            pointers(&events[i], "", &mut places);
            for at in places {
                // The same place of a later event of the same kind, where a client joins.
                let is_delta = at.contains("delta") || at.ends_with("/text");
                let is_text = events[i].pointer(&at).is_some_and(Value::is_string);
                let is_same = |j: &usize| {
                    events[*j]["type"] == events[i]["type"]
                        && events[*j].pointer(&at).is_some_and(Value::is_string)
                        && [
                            "/choices/0/index",
                            "/choices/0/delta/tool_calls/0/index",
                            "/index",
                            "/output_index",
                        ]
                        .iter()
                        .all(|at| events[*j].pointer(at) == events[i].pointer(at))
                };
                let later = (i + 1..events.len()).find(is_same);
                let Some(j) = later.filter(|_| is_delta && is_text && !at.ends_with("/type"))
                else {
                    continue;
                };
                let mut events = events.clone();
                *events[i].pointer_mut(&at).expect("it is there") = "so 5555 5555".into();
                *events[j].pointer_mut(&at).expect("it is there") = " 5555 4444".into();
                let Ok(relay) =
                    relay::Relay::new(&guard, name, true).play(&relay::events(name, &events))
                else {
                    continue;
                };
                let out = Value::Object(joined(&relay::bodies(&relay.out)));
                assert!(
                    !out.to_string().contains(CARD),
                    "{name}: {at} of events {i} and {j}: {out}"
                );
                pairs += 1;
            }
        }
        assert!(pairs >= 2, "{name}: {pairs} pairs");
    }
}

#[test]
fn what_is_split_over_parts_is_found() {
    let guard = Guard::new();
    for (name, body) in fixtures::requests() {
        let mut places = Vec::new();
        pointers(&body, "", &mut places);
        let texts: Vec<&String> = places.iter().filter(|at| at.ends_with("/text")).collect();
        for pair in texts.windows(2) {
            let list = |at: &str| at.rsplitn(3, '/').nth(2).map(str::to_owned);
            if list(pair[0]) != list(pair[1]) {
                continue;
            }
            let mut body = body.clone();
            *body.pointer_mut(pair[0]).expect("it is there") = "It is 5555 5555 5".into();
            *body.pointer_mut(pair[1]).expect("it is there") = "555 4444, use it".into();
            let call = protocol(name).read(body).expect("it is a request");
            let after = screened(&guard, call, |call: Call| call.body().clone());
            assert_eq!(
                after.pointer(pair[0]),
                Some(&json!(format!("It is {REDACTED}"))),
                "{name} {}",
                pair[0]
            );
            assert_eq!(after.pointer(pair[1]), Some(&json!(", use it")), "{name} {}", pair[1]);
        }
    }
}
