//! Health: every part of the installation, whether it works, and what is known of it.

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_core::constants::OCSF_VERSION;
use bartizan_gateway::upstream::Condition;
use bartizan_policy::Area;

use super::{Page, Section};
use crate::{
    Admin, charts,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    params::Params,
    visitor::Visitor,
};

/// Events that wait before it is worth a look.
const WAITING_MAX: u64 = 1000;

pub(super) static PAGE: Page = Page {
    path: "/health",
    title: "Health",
    letter: Some('h'),
    section: Section::House,
    icon: "health",
    needs: Needs::Read(Area::Routes),
    serve: || get(show),
};

#[derive(Template)]
#[template(path = "health.html")]
struct Health {
    f: Frame,
    worst: &'static str,
    parts: Vec<Part>,
    upstreams: Vec<Upstream>,
    versions: Vec<(&'static str, String)>,
    damage: Option<Vec<String>>,
}

/// A part, and how it does.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// `good`, `note` or `bad`.
    pub(super) class: &'static str,
    pub(super) words: String,
}

struct Upstream {
    route: String,
    name: String,
    class: &'static str,
    words: &'static str,
    running: usize,
}

impl Part {
    fn of<T, E: std::fmt::Display>(name: &'static str, state: Result<T, E>, good: &str) -> Self {
        match state {
            Ok(_) => Self { name, class: "good", words: good.to_owned() },
            Err(problem) => Self { name, class: "bad", words: problem.to_string() },
        }
    }
}

/// Every part but the upstreams.
pub(super) async fn parts(admin: &Admin) -> Vec<Part> {
    let gateway = &admin.gateway;
    let ledger = format!("takes entries; {} so far", charts::number(gateway.ledger.head().size));
    let mut parts = vec![
        Part::of("Ledger", gateway.ledger.check(), &ledger),
        Part::of("Database", gateway.store.tenants().await, "answers"),
    ];
    parts.push(match gateway.store.bus().health().await {
        Err(problem) => Part { name: "Events", class: "bad", words: problem.to_string() },
        Ok(bus) => {
            let place = bus.place.unwrap_or_else(|| "within this process".to_owned());
            let waiting = format!("{place}; {} wait", charts::number(bus.waiting));
            match bus.stalled {
                Some(why) => Part {
                    name: "Events",
                    class: "bad",
                    words: format!("{waiting}; stalled: {why}"),
                },
                None if bus.waiting > WAITING_MAX => {
                    Part { name: "Events", class: "note", words: waiting }
                }
                None => Part { name: "Events", class: "good", words: waiting },
            }
        }
    });
    parts
}

pub(super) const fn condition(condition: &Condition) -> (&'static str, &'static str) {
    match condition {
        Condition::Closed => ("good", "takes requests"),
        Condition::HalfOpen => ("note", "is being tried"),
        Condition::Open { .. } => ("bad", "left alone after failures"),
    }
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["check"])?;
    let gateway = &admin.gateway;
    let parts = parts(&admin).await;
    let live = gateway.live();
    let upstreams: Vec<Upstream> = live
        .routes
        .values()
        .flat_map(|route| {
            route.pool.states().into_iter().map(|target| {
                let (class, words) = condition(&target.condition);
                Upstream {
                    route: route.name.clone(),
                    name: target.name,
                    class,
                    words,
                    running: target.running,
                }
            })
        })
        .collect();
    let states = || parts.iter().map(|part| part.class).chain(upstreams.iter().map(|up| up.class));
    let worst = ["bad", "note"].into_iter().find(|word| states().any(|state| state == *word));
    // It reads the whole file, so only when it is asked for.
    let damage = match params.get("check") {
        Some(_) => Some(gateway.store.check().await?),
        None => None,
    };
    let versions = vec![
        ("Bartizan", env!("CARGO_PKG_VERSION").to_owned()),
        ("Events in the form of", format!("OCSF {OCSF_VERSION}")),
        ("Master key", gateway.store.master_key_name()),
        ("Shared with other nodes", if gateway.store.shared() { "yes" } else { "no" }.to_owned()),
        ("Routes", live.routes.len().to_string()),
        ("Rules of the guard", gateway.guard.rules().len().to_string()),
    ];
    page(&Health {
        f: Frame::new(&visitor, &PAGE, &uri),
        worst: worst.unwrap_or("good"),
        parts,
        upstreams,
        versions,
        damage,
    })
}
