//! Events: at least once, in order, durable, encrypted. One suite for every bus.

use std::{collections::BTreeSet, time::Duration};

use bartizan_core::{Activity, Event, EventClass, Severity};
use bartizan_store::{Delivery, Error, Filter, Subscription, entity};
use serde_json::json;

use super::*;
use crate::servers::{NatsServer, nats};

/// A store and the server that its bus needs, if any.
struct Bed {
    house: House,
    nats: Option<NatsServer>,
}

/// Runs each case on every bus.
macro_rules! on_every_bus {
    ($($case:ident)*) => {
        mod on_a_database {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Bed { house: super::House::new().await, nats: None }).await;
            })*
        }
        mod on_nats {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(nats) = super::nats() else { return };
                let house = super::House::with(crate::nats::over(&nats)).await;
                super::$case(super::Bed { house, nats: Some(nats) }).await;
            })*
        }
    };
}

on_every_bus! {
    what_is_not_acknowledged_comes_again_after_a_restart
    a_waiting_subscription_is_woken_and_order_is_kept
    a_record_that_is_refused_publishes_nothing
    a_filter_lets_through_what_fits
    a_name_is_used_once_at_a_time_and_ends_for_good
    events_rest_encrypted_and_an_erased_tenants_are_passed_over
    a_wait_that_is_given_up_loses_nothing
    an_event_that_is_too_large_is_refused
}

impl Bed {
    async fn publish(&self, of: &str, message: &str) -> Event {
        let event = event(&self.house, of, message);
        self.house.store.bus().publish(&event).await.expect("published");
        event
    }

    async fn subscribe(&self, name: &str) -> Subscription {
        self.house.store.bus().subscribe(name, Filter::default()).await.expect("made")
    }

    /// Waits until everything published has left for the server, if there is one.
    async fn settle(&self) {
        while self.nats.is_some() && waiting(&self.house.store).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn is_quiet(&self, subscription: &mut Subscription) -> bool {
        self.settle().await;
        let ms = if self.nats.is_some() { 500 } else { 50 };
        tokio::time::timeout(Duration::from_millis(ms), subscription.next()).await.is_err()
    }
}

pub(crate) async fn waiting(store: &Store) -> u64 {
    store.bus().health().await.expect("known").waiting
}

pub(crate) fn event(house: &House, of: &str, message: &str) -> Event {
    let mut event = Event::new(&house.cx, tenant(of), EventClass::ApiActivity, Activity::CREATE);
    event.message = message.to_owned();
    event
}

pub(crate) async fn next(subscription: &mut Subscription) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    next.expect("it comes").expect("read")
}

/// Receives and acknowledges one.
async fn take(subscription: &mut Subscription) -> Event {
    let delivery = next(subscription).await;
    subscription.ack(&delivery).await.expect("noted");
    delivery.event
}

async fn what_is_not_acknowledged_comes_again_after_a_restart(mut bed: Bed) {
    let mut subscription = bed.subscribe("detect").await;
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(bed.publish("a", &n.to_string()).await);
    }
    for event in &events[..2] {
        assert_eq!(&take(&mut subscription).await, event);
    }
    assert_eq!(next(&mut subscription).await.event, events[2]);
    drop(subscription);
    bed.house.reopen().await.expect("opened");
    let mut subscription = bed.subscribe("detect").await;
    for event in &events[2..] {
        assert_eq!(&take(&mut subscription).await, event);
    }
    assert!(bed.is_quiet(&mut subscription).await);
    drop(subscription);
    let mut subscription = bed.subscribe("detect").await;
    assert!(bed.is_quiet(&mut subscription).await);
}

async fn a_waiting_subscription_is_woken_and_order_is_kept(bed: Bed) {
    let mut subscription = bed.subscribe("s").await;
    let received = tokio::spawn(async move {
        let mut messages = Vec::new();
        for _ in 0..300 {
            messages.push(take(&mut subscription).await.message.parse::<u32>().expect("a number"));
        }
        messages
    });
    let house = &bed.house;
    for n in 0..300 {
        let event = event(house, "a", &n.to_string());
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

async fn a_record_that_is_refused_publishes_nothing(bed: Bed) {
    let mut subscription = bed.subscribe("s").await;
    let house = &bed.house;
    let id = Id::new(&house.cx);
    let put = async |message| {
        let events = [event(house, "a", message)];
        house.store.put_with_events(&tenant("a"), &BLOB, id, Map::new(), None, &events).await
    };
    put("first").await.expect("put");
    put("second").await.expect_err("the id is taken");
    assert_eq!(take(&mut subscription).await.message, "first");
    assert!(bed.is_quiet(&mut subscription).await);
}

async fn a_filter_lets_through_what_fits(bed: Bed) {
    let filter = Filter {
        tenant: Some(tenant("a")),
        classes: BTreeSet::from([EventClass::Authentication]),
        severity_min: Some(Severity::High),
    };
    let bus = bed.house.store.bus();
    let mut narrow = bus.subscribe("narrow", filter).await.expect("made");
    let mut wide = bed.subscribe("wide").await;
    for (of, class, severity) in [
        ("a", EventClass::Authentication, Severity::Critical),
        ("b", EventClass::Authentication, Severity::Critical),
        ("a", EventClass::ApiActivity, Severity::Critical),
        ("a", EventClass::Authentication, Severity::Low),
        ("a", EventClass::Authentication, Severity::High),
    ] {
        let event = Event { class, severity, ..event(&bed.house, of, "x") };
        bus.publish(&event).await.expect("published");
    }
    let first = take(&mut narrow).await;
    let second = take(&mut narrow).await;
    assert_eq!([first.severity, second.severity], [Severity::Critical, Severity::High]);
    assert!(bed.is_quiet(&mut narrow).await);
    for _ in 0..5 {
        take(&mut wide).await;
    }
}

async fn a_name_is_used_once_at_a_time_and_ends_for_good(bed: Bed) {
    let bus = bed.house.store.bus();
    let subscription = bed.subscribe("s").await;
    assert!(matches!(bus.subscribe("s", Filter::default()).await, Err(Error::Subscribed { .. })));
    assert!(matches!(bus.unsubscribe("s").await, Err(Error::Subscribed { .. })));
    drop(subscription);
    bed.publish("a", "for nobody").await;
    bed.settle().await;
    bus.unsubscribe("s").await.expect("ended");
    bus.unsubscribe("s").await.expect("there is none");
    let mut anew = bed.subscribe("s").await;
    assert!(bed.is_quiet(&mut anew).await, "what an ended subscription missed is gone");
    for bad in ["", "Big", "a b", &"x".repeat(65)] {
        assert!(matches!(
            bus.subscribe(bad, Filter::default()).await,
            Err(Error::SubscriptionName { .. })
        ));
    }
}

async fn events_rest_encrypted_and_an_erased_tenants_are_passed_over(bed: Bed) {
    let mut subscription = bed.subscribe("s").await;
    let secret = "a-message-that-nobody-else-writes";
    for (of, message) in [("a", secret), ("b", "kept"), ("a", secret)] {
        bed.publish(of, message).await;
    }
    bed.settle().await;
    bed.house.store.flush().await.expect("flushed");
    assert!(!holds(&bytes_of(bed.house.path()), secret.as_bytes()));
    if let Some(nats) = &bed.nats {
        let carried = bytes_of(nats.dir());
        assert!(holds(&carried, b"bartizan.events."), "it is there");
        assert!(!holds(&carried, secret.as_bytes()));
    }
    bed.house.store.erase_tenant(&tenant("a")).await.expect("erased");
    assert_eq!(take(&mut subscription).await.message, "kept");
    assert!(bed.is_quiet(&mut subscription).await);
}

async fn a_wait_that_is_given_up_loses_nothing(bed: Bed) {
    let mut subscription = bed.subscribe("s").await;
    let mut expected = Vec::new();
    for n in 0..40 {
        bed.publish(["a", "b", "c"][n % 3], &n.to_string()).await;
        expected.push(n.to_string());
    }
    let mut messages = Vec::new();
    let mut micros = 1;
    while messages.len() < 40 {
        let most = Duration::from_micros(micros);
        if let Ok(delivery) = tokio::time::timeout(most, subscription.next()).await {
            let delivery = delivery.expect("read");
            subscription.ack(&delivery).await.expect("noted");
            messages.push(delivery.event.message);
        }
        micros = (micros * 2) % 100_003;
    }
    messages.sort_by_key(|message| message.parse::<usize>().expect("a number"));
    assert_eq!(messages, expected);
}

async fn an_event_that_is_too_large_is_refused(bed: Bed) {
    let mut subscription = bed.subscribe("s").await;
    let large = event(&bed.house, "a", &"x".repeat(600 << 10));
    let refused = bed.house.store.bus().publish(&large).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    bed.publish("a", &"x".repeat(500 << 10)).await;
    assert_eq!(take(&mut subscription).await.message.len(), 500 << 10);
}

#[tokio::test]
async fn an_altered_event_is_passed_over_and_the_rest_arrive() {
    let house = House::new().await;
    let bed = Bed { house, nats: None };
    let (house, mut subscription) = (&bed.house, bed.subscribe("s").await);
    for message in ["one", "two", "three"] {
        house.store.bus().publish(&event(house, "a", message)).await.expect("published");
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
    let wait = tokio::time::timeout(Duration::from_millis(50), idle.next());
    assert!(wait.await.is_err());
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
    let bed = Bed { house: House::new().await, nats: None };
    let filter = Filter { tenant: Some(tenant("a")), ..Filter::default() };
    let mut subscription = bed.house.store.bus().subscribe("s", filter).await.expect("made");
    for of in ["a", "b", "b"] {
        bed.publish(of, "x").await;
    }
    take(&mut subscription).await;
    drop(subscription);
    let mut all = bed.subscribe("s").await;
    assert!(bed.is_quiet(&mut all).await);
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
