//! Whether the routes can be put in force, and their targets be reached. Names are
//! resolved; nothing is sent.

use std::net::IpAddr;

use bartizan_gateway::{config::GatewayConfig, routes::Live, upstream::TargetConfig};
use bartizan_net::{Allow, Client, Settings};

use super::{Found, Site};

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    const WHAT: &str = "routes";
    let config = &site.loaded.config;
    if config.routes.is_empty() {
        let found = "none: the gateway answers for no model; add `[routes.NAME]`";
        return vec![Found::note(WHAT, found)];
    }
    let settings =
        Settings { allow: config.net.allow.clone(), ca_file: config.net.ca_file.clone() };
    let mut gateway = config.gateway();
    // A server that runs has its own environment, in which the variables were set.
    let unseen = match site.server {
        Some(_) => without_unseen_keys(&mut gateway),
        None => Vec::new(),
    };
    let compiled = Client::new(&settings)
        .map_err(|error| error.to_string())
        .and_then(|client| Live::new(gateway, &client).map_err(|error| error.to_string()));
    let mut found = vec![match compiled {
        Ok(live) if !unseen.is_empty() => {
            let found = format!(
                "{} can be put in force; {} not set here: the server that runs has an environment of its own",
                live.routes.len(),
                unseen.join(", ")
            );
            Found::note(WHAT, found)
        }
        Ok(live) => Found::good(WHAT, format!("{} can be put in force", live.routes.len())),
        Err(problem) => Found::bad(WHAT, problem, "the server does not start until this is mended"),
    }];
    // What is wrong with the list itself is said above.
    let Ok(allow) = Allow::new(&config.net.allow) else { return found };
    for (name, route) in &config.routes {
        for target in &route.targets {
            found.push(reach(name, target, &allow).await);
        }
    }
    found
}

/// Leaves out the variables that this shell does not have; their names.
fn without_unseen_keys(config: &mut GatewayConfig) -> Vec<String> {
    let mut unseen = Vec::new();
    for target in config.routes.values_mut().flat_map(|route| &mut route.targets) {
        if let Some(name) = target.key_env.take_if(|name| std::env::var_os(name).is_none()) {
            unseen.push(format!("`{name}`"));
        }
    }
    unseen
}

async fn reach(route: &str, target: &TargetConfig, allow: &Allow) -> Found {
    const WHAT: &str = "target";
    let url = target.url.parse::<http::Uri>().ok();
    let Some((host, url)) = url.as_ref().and_then(|url| Some((url.host()?, url))) else {
        let found = format!("route `{route}`: its `url` is no URL");
        return Found::bad(WHAT, found, "write it as `https://host/v1`");
    };
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<IpAddr> = match tokio::net::lookup_host((bare, port)).await {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(error) => {
            let found = format!("route `{route}`: `{host}` does not resolve: {error}");
            return Found::bad(WHAT, found, "check the name, and this machine's DNS");
        }
    };
    if addresses.iter().any(|address| allow.check(bare, *address).is_ok()) {
        return Found::good(WHAT, format!("route `{route}`: `{host}` resolves"));
    }
    let refused = addresses.iter().find_map(|address| allow.check(bare, *address).err());
    let why = refused.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    Found::bad(
        WHAT,
        format!("route `{route}`: {why}"),
        "give the route another target if it is not",
    )
}
