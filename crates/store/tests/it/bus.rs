//! Events: at least once, in order, durable, encrypted.

use std::{collections::BTreeSet, time::Duration};

use bartizan_core::{Activity, Event, EventClass, Severity};
use bartizan_store::{Delivery, Error, Filter, Subscription, entity};
use serde_json::json;

use super::*;

fn event(house: &House, of: &str, message: &str) -> Event {
    let mut event = Event::new(&house.cx, tenant(of), EventClass::ApiActivity, Activity::CREATE);
    event.message = message.to_owned();
    event
}

async fn next(subscription: &mut Subscription) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    next.expect("it comes").expect("read")
}

async fn is_quiet(subscription: &mut Subscription) -> bool {
    tokio::time::timeout(Duration::from_millis(50), subscription.next()).await.is_err()
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_after_a_restart() {
    let mut house = House::new().await;
    let mut subscription =
        house.store.bus().subscribe("detect", Filter::default()).await.expect("made");
    let events: Vec<Event> = (0..5).map(|n| event(&house, "a", &n.to_string())).collect();
    for event in &events {
        house.store.bus().publish(event).await.expect("published");
    }
    for event in &events[..3] {
        let delivery = next(&mut subscription).await;
        assert_eq!(&delivery.event, event);
        if event.message == "1" {
            subscription.ack(&delivery).await.expect("noted");
        }
    }
    drop(subscription);
    house.reopen().await.expect("opened");
    let mut subscription =
        house.store.bus().subscribe("detect", Filter::default()).await.expect("made");
    for event in &events[2..] {
        let delivery = next(&mut subscription).await;
        assert_eq!(&delivery.event, event);
        subscription.ack(&delivery).await.expect("noted");
    }
    assert!(is_quiet(&mut subscription).await);
    drop(subscription);
    let mut subscription =
        house.store.bus().subscribe("detect", Filter::default()).await.expect("made");
    assert!(is_quiet(&mut subscription).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_subscription_is_woken_and_order_is_kept() {
    let house = House::new().await;
    let mut subscription = house.store.bus().subscribe("s", Filter::default()).await.expect("made");
    let received = tokio::spawn(async move {
        let mut messages = Vec::new();
        for _ in 0..300 {
            let delivery = next(&mut subscription).await;
            messages.push(delivery.event.message.parse::<u32>().expect("a number"));
            subscription.ack(&delivery).await.expect("noted");
        }
        messages
    });
    for n in 0..300 {
        let event = event(&house, "a", &n.to_string());
        if n % 2 == 0 {
            house.store.bus().publish(&event).await.expect("published");
        } else {
            let (a, id, events) = (tenant("a"), Id::new(&house.cx), [event]);
            let put = house.store.put_with_events(&a, &BLOB, id, Map::new(), None, &events);
            put.await.expect("put");
        }
    }
    assert_eq!(received.await.expect("received"), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_that_is_refused_publishes_nothing() {
    let house = House::new().await;
    let mut subscription = house.store.bus().subscribe("s", Filter::default()).await.expect("made");
    let id = Id::new(&house.cx);
    let put = async |message| {
        let events = [event(&house, "a", message)];
        house.store.put_with_events(&tenant("a"), &BLOB, id, Map::new(), None, &events).await
    };
    put("first").await.expect("put");
    put("second").await.expect_err("the id is taken");
    assert_eq!(next(&mut subscription).await.event.message, "first");
    assert!(is_quiet(&mut subscription).await);
}

#[tokio::test]
async fn a_filter_lets_through_what_fits() {
    let house = House::new().await;
    let filter = Filter {
        tenant: Some(tenant("a")),
        classes: BTreeSet::from([EventClass::Authentication]),
        severity_min: Some(Severity::High),
    };
    let mut narrow = house.store.bus().subscribe("narrow", filter).await.expect("made");
    let mut wide = house.store.bus().subscribe("wide", Filter::default()).await.expect("made");
    for (of, class, severity) in [
        ("a", EventClass::Authentication, Severity::Critical),
        ("b", EventClass::Authentication, Severity::Critical),
        ("a", EventClass::ApiActivity, Severity::Critical),
        ("a", EventClass::Authentication, Severity::Low),
        ("a", EventClass::Authentication, Severity::High),
    ] {
        let event = Event { class, severity, ..event(&house, of, "x") };
        house.store.bus().publish(&event).await.expect("published");
    }
    let first = next(&mut narrow).await;
    let second = next(&mut narrow).await;
    assert_eq!([first.event.severity, second.event.severity], [Severity::Critical, Severity::High]);
    assert!(is_quiet(&mut narrow).await);
    for _ in 0..5 {
        next(&mut wide).await;
    }
}

#[tokio::test]
async fn a_name_is_used_once_at_a_time_and_ends_for_good() {
    let house = House::new().await;
    let bus = house.store.bus();
    let subscription = bus.subscribe("s", Filter::default()).await.expect("made");
    assert!(matches!(bus.subscribe("s", Filter::default()).await, Err(Error::Subscribed { .. })));
    assert!(matches!(bus.unsubscribe("s").await, Err(Error::Subscribed { .. })));
    drop(subscription);
    house.store.bus().publish(&event(&house, "a", "for nobody")).await.expect("published");
    bus.unsubscribe("s").await.expect("ended");
    let mut anew = bus.subscribe("s", Filter::default()).await.expect("made");
    assert!(is_quiet(&mut anew).await, "what an ended subscription missed is gone");
    for bad in ["", "Big", "a b", &"x".repeat(65)] {
        assert!(matches!(
            bus.subscribe(bad, Filter::default()).await,
            Err(Error::SubscriptionName { .. })
        ));
    }
}

#[tokio::test]
async fn events_rest_encrypted_and_an_erased_tenants_are_passed_over() {
    let house = House::new().await;
    let mut subscription = house.store.bus().subscribe("s", Filter::default()).await.expect("made");
    let secret = "a-message-that-nobody-else-writes";
    for (of, message) in [("a", secret), ("b", "kept"), ("a", secret)] {
        house.store.bus().publish(&event(&house, of, message)).await.expect("published");
    }
    house.store.flush().await.expect("flushed");
    assert!(!holds(&bytes_of(house.path()), secret.as_bytes()));
    house.store.erase_tenant(&tenant("a")).await.expect("erased");
    assert_eq!(next(&mut subscription).await.event.message, "kept");
    assert!(is_quiet(&mut subscription).await);
}

#[tokio::test]
async fn an_altered_event_is_passed_over_and_the_rest_arrive() {
    let house = House::new().await;
    let mut subscription = house.store.bus().subscribe("s", Filter::default()).await.expect("made");
    for message in ["one", "two", "three"] {
        house.store.bus().publish(&event(&house, "a", message)).await.expect("published");
    }
    house.tamper("UPDATE outbox SET body = zeroblob(80) WHERE place = (SELECT MIN(place) + 1 FROM outbox)").await;
    assert_eq!(next(&mut subscription).await.event.message, "one");
    assert_eq!(next(&mut subscription).await.event.message, "three");
}

#[tokio::test]
async fn the_outbox_shrinks_when_all_have_it_and_events_that_nobody_takes_are_swept() {
    let house = House::new().await;
    let left = async || {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.db());
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("open");
        let count =
            sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&mut connection).await;
        connection.close().await.expect("closed");
        count.expect("counted")
    };
    let none = Filter { tenant: Some(tenant("nobody")), ..Filter::default() };
    let mut idle = house.store.bus().subscribe("idle", none).await.expect("made");
    let mut busy = house.store.bus().subscribe("busy", Filter::default()).await.expect("made");
    for _ in 0..10 {
        house.store.bus().publish(&event(&house, "a", "x")).await.expect("published");
    }
    for _ in 0..10 {
        let delivery = next(&mut busy).await;
        busy.ack(&delivery).await.expect("noted");
    }
    let count: i64 = left().await;
    assert_eq!(count, 10, "the other has not looked");
    assert!(is_quiet(&mut idle).await);
    let count: i64 = left().await;
    assert_eq!(count, 0, "what a filter keeps out does not stay for it");

    drop(busy);
    house.store.bus().publish(&event(&house, "a", "x")).await.expect("published");
    house.clock.advance_ms(29 * 24 * 60 * 60 * 1000);
    assert_eq!(house.store.sweep(house.cx.now()).await.expect("swept").undelivered, 0);
    house.clock.advance_ms(2 * 24 * 60 * 60 * 1000);
    assert_eq!(house.store.sweep(house.cx.now()).await.expect("swept").undelivered, 1);
}

#[tokio::test]
async fn acknowledging_the_last_that_fits_is_done_with_what_was_passed_over_after_it() {
    let house = House::new().await;
    let filter = Filter { tenant: Some(tenant("a")), ..Filter::default() };
    let mut subscription = house.store.bus().subscribe("s", filter).await.expect("made");
    for of in ["a", "b", "b"] {
        house.store.bus().publish(&event(&house, of, "x")).await.expect("published");
    }
    let delivery = next(&mut subscription).await;
    subscription.ack(&delivery).await.expect("noted");
    drop(subscription);
    let mut all = house.store.bus().subscribe("s", Filter::default()).await.expect("made");
    assert!(is_quiet(&mut all).await);
}

#[tokio::test]
async fn an_entity_is_the_first_that_is_named() {
    let house = House::new().await;
    let mut of = event(&house, "a", "x");
    assert_eq!(entity(&of), "a");
    of.attributes.insert("device".into(), json!({"uid": "d"}));
    assert_eq!(entity(&of), "d");
    of.attributes.insert("actor".into(), json!({"app_uid": "k"}));
    assert_eq!(entity(&of), "k");
    of.attributes.insert("actor".into(), json!({"app_uid": "k", "user": {"uid": "u"}}));
    assert_eq!(entity(&of), "u");
    of.attributes.insert("actor".into(), json!({"user": {"uid": 5}}));
    assert_eq!(entity(&of), "d");
}
