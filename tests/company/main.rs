//! A company's installation: two gateways that share PostgreSQL, NATS and Redis. They grant
//! one budget between them, and an event survives the death of the node that made it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/servers.rs"]
mod servers;

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::DeliverPolicy};
use common::{Home, Reply, Server, model::Model, request};
use futures_util::StreamExt;
use serde_json::json;
use servers::{NatsServer, PostgresServer, RedisServer, nats};

const CLIENTS: usize = 64;
/// How long what was left behind may take to arrive. Generous: busy machines run this.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);
/// The tokens that the model says each answer of its took, prompt and all.
const TOKENS_EACH: usize = 12;
const TOKENS_MAX: usize = 1200;

struct Company {
    homes: [Home; 2],
    key: String,
    nats: NatsServer,
    postgres: PostgresServer,
    _redis: RedisServer,
    _keys: tempfile::TempDir,
}

impl Company {
    /// `None` where PostgreSQL, NATS or Redis is not installed.
    fn new(model: &Model) -> Option<Self> {
        let (postgres, nats, redis) = (PostgresServer::start()?, nats()?, RedisServer::start()?);
        let keys = tempfile::tempdir().unwrap();
        let limited = |name: &str, limit: &str| {
            format!(
                "[routes.{name}]\nmodels = [\"{name}\"]\nend_user_header = \"x-user\"\n\
                 per_end_user = {{ {limit}, window_s = 3600 }}\n[[routes.{name}.targets]]\nurl = \"{}\"\n",
                model.url()
            )
        };
        let more = format!(
            "[store]\ndatabase_url = \"{}\"\nnats_url = \"{}\"\nredis_url = \"{}\"\nmaster_key_file = \"{}\"\n{}{}",
            postgres.database("company"),
            nats.url(),
            redis.url(),
            keys.path().join("master.key").display(),
            limited("counted", "requests = 50"),
            limited("metered", &format!("tokens = {TOKENS_MAX}")),
        );
        let homes = [Home::new(&model.url(), &more), Home::new(&model.url(), &more)];
        let key = homes[0].key("shared");
        Some(Self { homes, key, nats, postgres, _redis: redis, _keys: keys })
    }

    /// The ids of the events that NATS holds.
    fn events(&self) -> HashSet<String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(self.nats.url()).await.unwrap();
            let stream = jetstream::new(client).get_stream("BARTIZAN_EVENTS").await.unwrap();
            let config = jetstream::consumer::pull::OrderedConfig {
                deliver_policy: DeliverPolicy::All,
                ..Default::default()
            };
            let consumer = stream.create_consumer(config).await.unwrap();
            let count = usize::try_from(stream.get_info().await.unwrap().state.messages).unwrap();
            let messages = consumer.messages().await.unwrap().take(count);
            let id = |message: jetstream::Message| {
                message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string()
            };
            messages.map(|message| id(message.unwrap())).collect().await
        })
    }
}

fn ask(home: &Home, key: &str, model: &str, user: &str) -> std::io::Result<Reply> {
    let body =
        json!({"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": "hi"}]});
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("x-user", user)];
    request(home.data_port, "POST", "/v1/chat/completions", &headers, body.to_string().as_bytes())
}

/// Asks until the gateway has found Redis.
fn wait_for_limits(server: &Server<'_>, key: &str) {
    let until = Instant::now() + ARRIVAL_MAX;
    while ask(server.home, key, "counted", "somebody else").unwrap().status != 200 {
        assert!(Instant::now() < until, "{}", server.home.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every client asks both gateways in turn, so many times; how many answers passed, and how
/// many came too late from Redis to be known.
fn ask_at_once(company: &Company, model: &str, times: usize) -> (usize, usize) {
    let (passed, unknown) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (passed, unknown) = (&passed, &unknown);
            scope.spawn(move || {
                for turn in 0..times {
                    let home = &company.homes[(client + turn) % 2];
                    let reply = ask(home, &company.key, model, "ann").unwrap();
                    match reply.status {
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        429 => 0,
                        503 => unknown.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}: {}", reply.text()),
                    };
                }
            });
        }
    });
    (passed.into_inner(), unknown.into_inner())
}

#[test]
fn two_gateways_grant_one_budget_and_settle_its_tokens() {
    let model = Model::saying("hello");
    let Some(company) = Company::new(&model) else { return };
    let servers = company.homes.each_ref().map(Home::serve);
    for server in &servers {
        wait_for_limits(server, &company.key);
    }

    let (passed, unknown) = ask_at_once(&company, "counted", 3);
    assert!(passed <= 50 && passed + unknown >= 50, "{passed} passed, {unknown} unknown");

    // Each call reserves its prompt's estimate and 30 tokens more, and settles to 12.
    let (mut passed, unknown) = ask_at_once(&company, "metered", 1);
    let reserved = |unknown: usize| unknown * 100;
    for home in company.homes.iter().cycle().take(2 * TOKENS_MAX / TOKENS_EACH) {
        let reply = ask(home, &company.key, "metered", "ann").unwrap();
        match reply.status {
            200 => passed += 1,
            429 => break,
            other => panic!("{other}: {}", reply.text()),
        }
    }
    let used = passed * TOKENS_EACH;
    println!("{used} of {TOKENS_MAX} tokens used, {unknown} calls unknown");
    assert!(used <= TOKENS_MAX, "{used} tokens passed");
    assert!(
        used + reserved(unknown) + 100 >= TOKENS_MAX,
        "{used} tokens passed, {unknown} unknown"
    );
    for home in &company.homes {
        assert_eq!(ask(home, &company.key, "metered", "ann").unwrap().status, 429);
        assert_eq!(ask(home, &company.key, "metered", "bob").unwrap().status, 200);
    }
}

#[test]
fn no_event_is_lost_when_a_gateway_is_killed() {
    const BEFORE: usize = 150;
    const AFTER: usize = 300;
    let model = Model::saying("hello");
    let Some(company) = Company::new(&model) else { return };
    let [first, second] = company.homes.each_ref().map(Home::serve);
    let acknowledged: Mutex<HashSet<String>> = Mutex::default();
    let count = || acknowledged.lock().unwrap().len();
    std::thread::scope(|scope| {
        for client in 0..16 {
            let (acknowledged, company) = (&acknowledged, &company);
            scope.spawn(move || {
                while count() < AFTER {
                    let home = &company.homes[client % 2];
                    // The one that was killed answers nobody.
                    let Ok(reply) = ask(home, &company.key, "any", "ann") else { break };
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let id = reply.header("x-request-id").unwrap().to_owned();
                    acknowledged.lock().unwrap().insert(id);
                }
            });
        }
        while count() < BEFORE {
            std::thread::sleep(Duration::from_millis(2));
        }
        first.kill();
    });
    assert!(count() >= AFTER);

    // What it had decided and not yet carried out it makes again from its ledger.
    let revived = company.homes[0].serve();
    let acknowledged = acknowledged.into_inner().unwrap();
    let until = Instant::now() + ARRIVAL_MAX;
    loop {
        let events = company.events();
        let missing = acknowledged.difference(&events).count();
        if missing == 0 {
            break;
        }
        assert!(Instant::now() < until, "{missing} events missing\n{}", company.homes[0].log());
        std::thread::sleep(Duration::from_millis(200));
    }
    drop((revived, second));
    let records: usize = company
        .postgres
        .sql("company", "SELECT count(*) FROM records WHERE class = 'decision'")
        .parse()
        .unwrap();
    assert!(records >= acknowledged.len(), "{records} records");
    for home in &company.homes {
        let verified = home.run(&["ledger", "verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    println!("{} acknowledged, none lost", acknowledged.len());
}
