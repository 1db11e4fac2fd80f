//! The bus over NATS: several nodes, servers and nodes that die, and what stands in the stream.
//!
//! Tests that kill a server or a node wait until what it held is given to another, which is 10 s.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use async_nats::jetstream::{self, stream};
use bartizan_core::{Activity, Event, EventClass};
use bartizan_store::{Error, Filter, StoreSettings, Subscription};
use serde_json::json;

use super::*;
use crate::{
    bus::{event, next, waiting},
    servers::{NatsServer, PostgresServer, nats, nats_with, stopped_nats},
};

const STREAM: &str = "BARTIZAN_EVENTS";
const ENTITIES: usize = 8;
/// How many events the node that is killed receives.
const HELD_AT: usize = 100;

/// Settings of a node that shares its events over this server.
pub(crate) fn over(server: &NatsServer) -> StoreSettings {
    StoreSettings { nats_url: Some(server.url()), ..StoreSettings::default() }
}

/// The nth event that somebody publishes, about one of a few entities.
fn nth(cx: &Cx, who: &str, n: usize) -> Event {
    let mut event = Event::new(cx, tenant("a"), EventClass::ApiActivity, Activity::CREATE);
    let entity = format!("entity-{}", n % ENTITIES);
    event.attributes.insert("device".into(), json!({ "uid": entity }));
    event.message = format!("{who} {n}");
    event
}

/// What arrived for the first time, by who published it and about what, and what came again.
#[derive(Debug, Default)]
struct Seen {
    ids: BTreeSet<Id>,
    first: BTreeMap<(String, usize), Vec<usize>>,
    again: usize,
}

impl Seen {
    fn note(&mut self, event: &Event) {
        if !self.ids.insert(event.id) {
            self.again += 1;
            return;
        }
        let (who, n) = event.message.split_once(' ').expect("a name and a number");
        let n: usize = n.parse().expect("a number");
        self.first.entry((who.to_owned(), n % ENTITIES)).or_default().push(n);
    }

    /// Receives and acknowledges until so many different events arrived.
    async fn receive(&mut self, subscription: &mut Subscription, count: usize) {
        while self.ids.len() < count {
            let delivery = next(subscription).await;
            self.note(&delivery.event);
            subscription.ack(&delivery).await.expect("noted");
        }
    }

    #[track_caller]
    fn is_in_order(&self) {
        for (of, numbers) in &self.first {
            assert!(numbers.is_sorted(), "{of:?}: {numbers:?}");
        }
    }
}

async fn publish(house: &House, event: &Event) {
    house.store.bus().publish(event).await.expect("published");
}

async fn subscribe(house: &House, name: &str) -> Subscription {
    house.store.bus().subscribe(name, Filter::default()).await.expect("made")
}

/// Another node, with a database of its own and the same master key.
async fn beside(house: &House) -> House {
    let dir = tempfile::tempdir().expect("a directory");
    let key = "master.key";
    std::fs::copy(house.path().join(key), dir.path().join(key)).expect("copied");
    let (cx, clock) = sim::cx(rand_seed());
    let settings = house.settings.clone();
    let store = Store::open(&settings, dir.path(), CLASSES, &cx).await.expect("opened");
    House { store, settings, dir, cx, clock }
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn settled(house: &House) {
    until("the outbox is empty", async || waiting(&house.store).await == 0).await;
}

async fn client(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.expect("connected"))
}

async fn stored(server: &NatsServer) -> u64 {
    let stream = client(server).await.get_stream(STREAM).await;
    stream.map_or(0, |stream| stream.cached_info().state.messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_and_reorders_nothing() {
    const COUNT: usize = 600;
    let Some(mut server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let mut subscription = subscribe(&house, "s").await;
    let receiver = tokio::spawn(async move {
        let mut seen = Seen::default();
        seen.receive(&mut subscription, COUNT).await;
        seen
    });
    let (store, cx) = (house.store.clone(), house.cx.clone());
    let publisher = tokio::spawn(async move {
        for n in 0..COUNT {
            store.bus().publish(&nth(&cx, "one", n)).await.expect("published");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    for away_ms in [0, 700] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(away_ms)).await;
        server.revive();
    }
    publisher.await.expect("published");
    let seen = receiver.await.expect("received");
    seen.is_in_order();
    settled(&house).await;
    assert_eq!(stored(&server).await, u64::try_from(COUNT).unwrap(), "each is stored once");
    assert_eq!(house.store.bus().health().await.expect("known").stalled, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_nodes_arrive_once_each_in_the_order_of_their_node() {
    const COUNT: usize = 200;
    let Some(server) = nats() else { return };
    let one = House::with(over(&server)).await;
    let (two, three) = (beside(&one).await, beside(&one).await);
    let mut subscription = subscribe(&three, "s").await;
    for n in 0..COUNT {
        publish(&one, &nth(&one.cx, "one", n)).await;
        publish(&two, &nth(&two.cx, "two", n)).await;
    }
    let mut seen = Seen::default();
    seen.receive(&mut subscription, 2 * COUNT).await;
    seen.is_in_order();
    assert_eq!((seen.again, seen.first.len()), (0, 2 * ENTITIES));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_one_name_share_the_work() {
    const COUNT: usize = 200;
    let Some(server) = nats() else { return };
    let one = House::with(over(&server)).await;
    let two = beside(&one).await;
    let mut subscriptions = [subscribe(&one, "work").await, subscribe(&two, "work").await];
    for n in 0..COUNT {
        publish(&one, &nth(&one.cx, "one", n)).await;
    }
    let (mut all, mut shares) = (BTreeSet::new(), [Seen::default(), Seen::default()]);
    while all.len() < COUNT {
        for (subscription, seen) in subscriptions.iter_mut().zip(&mut shares) {
            let next = tokio::time::timeout(Duration::from_millis(50), subscription.next()).await;
            let Ok(delivery) = next else { continue };
            let delivery = delivery.expect("read");
            assert!(all.insert(delivery.event.id), "each goes to one of them");
            seen.note(&delivery.event);
            subscription.ack(&delivery).await.expect("noted");
        }
    }
    shares[0].is_in_order();
    shares[1].is_in_order();
    assert!(shares.iter().all(|share| share.ids.len() > COUNT / 10), "both have some");
}

/// Not a test: the node that [`a_killed_node_loses_nothing`] starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_a_process_of_its_own() {
    let Some(dir) = std::env::var_os("BARTIZAN_TEST_NODE") else { return };
    let settings = StoreSettings {
        nats_url: Some(std::env::var("BARTIZAN_TEST_NODE_NATS").expect("a URL")),
        ..StoreSettings::default()
    };
    // Of another seed than the killer, so that ids differ.
    let (cx, _) = sim::cx(1 << 40);
    let store = Store::open(&settings, Path::new(&dir), CLASSES, &cx).await.expect("opened");
    let mut subscription = store.bus().subscribe("work", Filter::default()).await.expect("made");
    tokio::spawn(async move {
        for n in 0.. {
            store.bus().publish(&nth(&cx, "child", n)).await.expect("published");
            println!("\nput {n}");
        }
    });
    for n in 1.. {
        let delivery = subscription.next().await.expect("read");
        println!("\ngot {}", delivery.event.message);
        if n == HELD_AT {
            // It holds this one until it is killed.
            std::future::pending::<()>().await;
        }
        subscription.ack(&delivery).await.expect("noted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_nothing() {
    let Some(server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let mut subscription = subscribe(&house, "work").await;
    let dir = tempfile::tempdir().expect("a directory");
    let key = "master.key";
    std::fs::copy(house.path().join(key), dir.path().join(key)).expect("copied");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["nats::a_node_in_a_process_of_its_own", "--exact", "--nocapture"])
        .env("BARTIZAN_TEST_NODE", dir.path())
        .env("BARTIZAN_TEST_NODE_NATS", server.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let heard = tokio::task::spawn_blocking(move || {
        let (mut put, mut got) = (0, Vec::new());
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("put", n)) => put = n.parse::<usize>().expect("a number") + 1,
                Some(("got", message)) => got.push(message.to_owned()),
                _ => {}
            }
            if got.len() == HELD_AT {
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");
        (put, got)
    });
    let mut mine = 0;
    let mut seen = Seen::default();
    while !heard.is_finished() {
        publish(&house, &nth(&house.cx, "parent", mine)).await;
        mine += 1;
        let next = tokio::time::timeout(Duration::from_millis(5), subscription.next()).await;
        let Ok(delivery) = next else { continue };
        let delivery = delivery.expect("read");
        seen.note(&delivery.event);
        subscription.ack(&delivery).await.expect("noted");
    }
    let (put, mut got) = heard.await.expect("heard");
    // What it held comes to us.
    let last = got.pop().expect("received something");
    // What it had put and not sent goes out when the node starts again.
    let store = Store::open(&house.settings, dir.path(), CLASSES, &house.cx).await.expect("opened");
    until("the node's outbox is empty", async || waiting(&store).await == 0).await;
    let all = (0..put).map(|n| format!("child {n}"));
    let mut missing: BTreeSet<String> =
        all.chain((0..mine).map(|n| format!("parent {n}"))).collect();
    for message in &got {
        missing.remove(message);
    }
    let of = |(who, _): &(String, usize), n: &usize| format!("{who} {n}");
    for (key, numbers) in &seen.first {
        for n in numbers {
            missing.remove(&of(key, n));
        }
    }
    missing.remove(&last);
    let mut saw_last = false;
    while !missing.is_empty() || !saw_last {
        let wait = tokio::time::timeout(Duration::from_secs(15), subscription.next()).await;
        let Ok(delivery) = wait else { break };
        let delivery = delivery.expect("read");
        seen.note(&delivery.event);
        saw_last |= delivery.event.message == last;
        missing.remove(&delivery.event.message);
        subscription.ack(&delivery).await.expect("noted");
    }
    assert_eq!(missing, BTreeSet::new());
    assert!(saw_last, "what it held comes to another");
    seen.is_in_order();
    assert!(put > 0 && mine > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_sent_and_did_not_note_is_sent_again_and_dropped_there() {
    let Some(server) = nats() else { return };
    let mut house = House::with(over(&server)).await;
    let mut subscription = subscribe(&house, "s").await;
    house.tamper("CREATE TRIGGER held BEFORE UPDATE ON subscribers BEGIN SELECT RAISE(ABORT, 'held'); END").await;
    for n in 0..20 {
        publish(&house, &nth(&house.cx, "one", n)).await;
    }
    until("all are stored", async || stored(&server).await == 20).await;
    let health = house.store.bus().health().await.expect("known");
    assert!(health.waiting == 20 && health.stalled.is_some(), "{health:?}");
    drop(subscription);
    house.store.close().await.expect("closed");
    house.tamper("DROP TRIGGER held").await;
    house.reopen().await.expect("opened");
    subscription = subscribe(&house, "s").await;
    settled(&house).await;
    assert_eq!(stored(&server).await, 20);
    let mut seen = Seen::default();
    seen.receive(&mut subscription, 20).await;
    seen.is_in_order();
    assert_eq!(seen.again, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_nats_keeps_what_is_published_until_it_is_there() {
    let Some(mut server) = stopped_nats(&[]) else { return };
    let house = House::with(over(&server)).await;
    for n in 0..10 {
        publish(&house, &nth(&house.cx, "one", n)).await;
    }
    let bus = house.store.bus();
    let health = bus.health().await.expect("known");
    assert_eq!((health.waiting, health.place.as_deref()), (10, Some(server.url().as_str())));
    assert!(health.stalled.is_some());
    let away = bus.unsubscribe("s").await;
    assert!(matches!(away, Err(Error::Away { what: "NATS", .. })), "{away:?}");
    let made = tokio::spawn(async move { bus.subscribe("s", Filter::default()).await });
    server.revive();
    let mut subscription = made.await.expect("waited").expect("made");
    settled(&house).await;
    assert_eq!(stored(&server).await, 10);
    publish(&house, &nth(&house.cx, "one", 10)).await;
    // Some of the ten may have left after the subscription was made.
    let mut message = String::new();
    while message != "one 10" {
        let delivery = next(&mut subscription).await;
        subscription.ack(&delivery).await.expect("noted");
        message = delivery.event.message;
    }
    assert_eq!(house.store.bus().health().await.expect("known").stalled, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_disk_gets_what_is_new() {
    let Some(mut server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let mut subscription = subscribe(&house, "s").await;
    publish(&house, &nth(&house.cx, "one", 0)).await;
    let mut seen = Seen::default();
    seen.receive(&mut subscription, 1).await;
    server.kill();
    std::fs::remove_dir_all(server.dir().join("jetstream")).expect("removed");
    for n in 1..30 {
        publish(&house, &nth(&house.cx, "one", n)).await;
    }
    server.revive();
    seen.receive(&mut subscription, 30).await;
    seen.is_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_configured_otherwise_is_put_in_order_or_refused() {
    let Some(server) = nats() else { return };
    let js = client(&server).await;
    let other = stream::Config {
        name: STREAM.into(),
        subjects: vec!["bartizan.events.1.>".into()],
        max_age: Duration::from_secs(3600),
        max_bytes: 100 << 20,
        ..Default::default()
    };
    js.create_stream(other.clone()).await.expect("made");
    let house = House::with(over(&server)).await;
    let found = js.get_stream(STREAM).await.expect("there").cached_info().config.clone();
    assert_eq!(found.subjects, ["bartizan.events.>"]);
    assert_eq!(found.max_age, Duration::from_secs(30 * 24 * 3600));
    assert_eq!(found.discard, stream::DiscardPolicy::New, "what does not fit waits");
    assert_eq!(found.max_bytes, 100 << 20, "the operator's own stays");
    drop(house);
    js.delete_stream(STREAM).await.expect("deleted");
    let memory = stream::Config { storage: stream::StorageType::Memory, ..other };
    js.create_stream(memory).await.expect("made");
    let dir = tempfile::tempdir().expect("a directory");
    let refused = Store::open(&over(&server), dir.path(), CLASSES, &sim::cx(1).0).await;
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("in memory, and must be in files"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_takes_nothing_and_the_outbox_keeps_it() {
    let Some(server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let js = client(&server).await;
    let found = js.get_stream(STREAM).await.expect("there").cached_info().config.clone();
    js.update_stream(stream::Config { max_messages: 5, ..found.clone() }).await.expect("limited");
    for n in 0..20 {
        publish(&house, &nth(&house.cx, "one", n)).await;
    }
    let stalled = async || house.store.bus().health().await.expect("known").stalled;
    until("it is full", async || stalled().await.is_some_and(|s| s.contains("maximum"))).await;
    assert_eq!(stored(&server).await, 5);
    assert!(waiting(&house.store).await >= 15);
    js.update_stream(found).await.expect("lifted");
    settled(&house).await;
    assert_eq!((stored(&server).await, stalled().await), (20, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_into_the_stream_is_passed_over() {
    let Some(server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let mut subscription = subscribe(&house, "s").await;
    publish(&house, &event(&house, "a", "first")).await;
    let mut seen = Vec::new();
    let mut take = async || {
        let delivery = next(&mut subscription).await;
        subscription.ack(&delivery).await.expect("noted");
        seen.push(delivery.event.message.clone());
        delivery.event.message
    };
    assert_eq!(take().await, "first");
    let js = client(&server).await;
    let stream = js.get_stream(STREAM).await.expect("there");
    // So short that a copy of an event is stored again.
    let short = Duration::from_millis(100);
    let config = stream.cached_info().config.clone();
    let forgetful = stream::Config { duplicate_window: short, ..config };
    js.update_stream(forgetful).await.expect("changed");
    tokio::time::sleep(3 * short).await;
    let real = stream.get_raw_message(1).await.expect("read");
    let mut altered = real.payload.to_vec();
    altered[40] ^= 1;
    for (name, value, body) in [
        ("X", "a copy", real.payload.to_vec()),
        ("Nats-Msg-Id", "0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6b", real.payload.to_vec()),
        ("Nats-Msg-Id", "0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6c", altered),
        ("Nats-Msg-Id", "no id", real.payload.to_vec()),
        ("Bartizan-Tenant", "b", real.payload.to_vec()),
        ("Bartizan-Tenant", "a tenant?", real.payload.to_vec()),
        ("Bartizan-Key", "x", real.payload.to_vec()),
    ] {
        let mut headers = real.headers.clone();
        if name.starts_with("Bartizan") {
            headers.insert("Nats-Msg-Id", Id::new(&house.cx).to_string());
        }
        headers.insert(name, value);
        let sent = js.publish_with_headers(real.subject.clone(), headers, body.into()).await;
        let stored = sent.expect("sent").await.expect("stored");
        assert!(!stored.duplicate);
    }
    let bare = js.publish(real.subject.clone(), "x".into()).await;
    bare.expect("sent").await.expect("stored");
    publish(&house, &event(&house, "a", "last")).await;
    assert_eq!(take().await, "last");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_of_one_outbox_keep_the_order_and_store_each_once() {
    const COUNT: usize = 400;
    let (Some(server), Some(postgres)) = (nats(), PostgresServer::start()) else { return };
    let database_url = Some(postgres.database("shared"));
    let one = House::with(StoreSettings { database_url, ..over(&server) }).await;
    let two = beside(&one).await;
    let mut subscription = subscribe(&two, "s").await;
    // One after the other, from either node: there is one order.
    for n in 0..COUNT {
        publish([&one, &two][n / ENTITIES % 2], &nth(&one.cx, "both", n)).await;
    }
    let mut seen = Seen::default();
    seen.receive(&mut subscription, COUNT).await;
    seen.is_in_order();
    settled(&one).await;
    assert_eq!((seen.again, stored(&server).await), (0, COUNT as u64));
    // Neither the key nor its wrapping is in the stream, where the database has it.
    let wrapped =
        postgres.sql("shared", "SELECT encode(wrapped, 'base64') FROM bartizan.data_keys");
    assert!(!holds(&bytes_of(server.dir()), wrapped.replace('\n', "").as_bytes()));
    two.store.erase_tenant(&tenant("a")).await.expect("erased");
    settled(&one).await;
    assert_eq!(stored(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_reaches_the_stream_also_when_nats_is_away_meanwhile() {
    let Some(mut server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let other = beside(&house).await;
    for n in 0..10 {
        publish(&house, &event(&house, "a", &n.to_string())).await;
        publish(&house, &event(&house, "b", &n.to_string())).await;
    }
    settled(&house).await;
    assert_eq!(stored(&server).await, 20);
    server.kill();
    house.store.erase_tenant(&tenant("a")).await.expect("erased");
    publish(&house, &event(&house, "a", "under a new key")).await;
    server.revive();
    settled(&house).await;
    assert_eq!(stored(&server).await, 11);
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_one_node_cannot_open_goes_to_one_that_can() {
    let Some(server) = nats() else { return };
    let house = House::with(over(&server)).await;
    let stranger = House::with(over(&server)).await;
    let mut theirs = subscribe(&stranger, "work").await;
    publish(&house, &event(&house, "a", "x")).await;
    let refused = tokio::time::timeout(Duration::from_secs(5), theirs.next()).await;
    let refused = refused.expect("it says so");
    assert!(matches!(refused, Err(Error::OtherMasterKey { .. })), "{refused:?}");
    drop(theirs);
    let mut ours = subscribe(&house, "work").await;
    assert_eq!(next(&mut ours).await.event.message, "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_url_and_wrong_ones_are_said() {
    let login: [(&[&str], &str); 2] =
        [(&["--user", "me", "--pass", "p@ss"], "me:p%40ss"), (&["--auth", "token"], "token")];
    for (arguments, right) in login {
        let Some(server) = nats_with(arguments) else { return };
        let url = |login: &str| Some(format!("nats://{login}@127.0.0.1:{}", server.port));
        let with = |nats_url| StoreSettings { nats_url, ..StoreSettings::default() };
        let house = House::with(with(url(right))).await;
        assert_eq!(house.store.bus().health().await.expect("known").stalled, None);
        let house = House::with(with(url("me:secret"))).await;
        let health = house.store.bus().health().await.expect("known");
        let said = health.stalled.clone().expect("stalled");
        assert!(said.contains("authorization"), "{said}");
        assert!(!format!("{health:?}").contains("secret"));
    }
}

#[tokio::test]
async fn a_wrong_url_is_refused_at_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings =
        StoreSettings { nats_url: Some("http://nats.example".into()), ..Default::default() };
    let refused = Store::open(&settings, dir.path(), CLASSES, &sim::cx(1).0).await;
    assert!(matches!(refused, Err(Error::Url { key: "store.nats_url", .. })), "{refused:?}");
}
