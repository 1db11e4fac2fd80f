//! Where the configuration comes from, and whether its files can be used.

use bartizan_gateway::{config::TlsConfig, server::Tls};
use bartizan_policy::Authorizer;

use super::{Found, Site};

pub(super) async fn look(site: &Site<'_>) -> Vec<Found> {
    const WHAT: &str = "configuration";
    let mut found = vec![match &site.loaded.file {
        Some(file) => Found::good(WHAT, format!("read from `{}`", file.display())),
        None => Found::note(WHAT, "no file: defaults and environment alone"),
    }];
    let config = &site.loaded.config;
    found.extend(config.data.tls.as_ref().map(|tls| certificate("data.tls", tls)));
    found.extend(config.admin.tls.as_ref().map(|tls| certificate("admin.tls", tls)));
    found.extend(config.policy.file.as_deref().map(policies));
    found
}

fn certificate(what: &'static str, tls: &TlsConfig) -> Found {
    match Tls::default().load(Some(tls)) {
        Ok(()) => Found::good(what, format!("`{}` and its key fit", tls.certificate.display())),
        Err(error) => {
            Found::bad(what, error.to_string(), "both files hold PEM, and belong together")
        }
    }
}

fn policies(file: &std::path::Path) -> Found {
    const WHAT: &str = "policy.file";
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    match read.and_then(|text| Authorizer::new(&text).map_err(|error| error.to_string())) {
        Ok(_) => Found::good(WHAT, format!("`{}` can be used", file.display())),
        Err(problem) => Found::bad(
            WHAT,
            format!("`{}`: {problem}", file.display()),
            "the server does not start until this is mended",
        ),
    }
}
