//! Whether the addresses can be listened on.

use tokio::net::TcpListener;

use super::{Found, Site};

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    let config = &site.loaded.config;
    let running = site.server.is_some();
    let mut found = Vec::new();
    for (what, address) in
        [("data plane", &config.data.listen), ("administration", &config.admin.listen)]
    {
        found.push(port(what, address, running).await);
    }
    found
}

async fn port(what: &'static str, address: &str, running: bool) -> Found {
    match TcpListener::bind(address).await {
        Ok(_) => Found::good(what, format!("`{address}` is free")),
        Err(error) if running && error.kind() == std::io::ErrorKind::AddrInUse => {
            Found::good(what, format!("`{address}` is served"))
        }
        Err(error) => Found::bad(
            what,
            format!("`{address}`: {error}"),
            "stop what listens there, or choose another address",
        ),
    }
}
