//! PostgreSQL, NATS and Redis of a test's own, as `tests/run.sh` installs them. Where one is
//! absent, the test says loudly that it was skipped, or fails if `BARTIZAN_TEST_REQUIRE` is set.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test target uses its own part")]
#![allow(clippy::panic, reason = "a test may fail loudly")]

#[path = "nats.rs"]
pub mod nats;
#[path = "postgres.rs"]
pub mod postgres;
#[path = "redis.rs"]
pub mod redis;

use std::{net::TcpListener, path::PathBuf};

pub use self::{
    nats::{NatsServer, nats, nats_with, stopped_nats},
    postgres::PostgresServer,
    redis::RedisServer,
};

/// A program that `variable` names, or that is on the path or in one of these folders.
fn program(name: &str, variable: &str, folders: Vec<PathBuf>) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = folders.into_iter().chain(std::env::split_paths(&path));
    let found = named.into_iter().chain(places.map(|place| place.join(name)));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        let required = std::env::var_os("BARTIZAN_TEST_REQUIRE").is_some();
        assert!(!required, "`{name}` is not installed; {variable} may name it");
        eprintln!("!! SKIPPED: `{name}` is not installed; {variable} may name it");
    }
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
