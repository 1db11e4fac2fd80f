//! Assets: the applications, routes, models and endpoints that were seen at work, how each
//! does, and what it did of late.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_core::{Id, Tenant, Timestamp};
use bartizan_gateway::{
    Gateway,
    decisions::{DECISION, FINDING},
};
use bartizan_policy::{Access, Area};
use bartizan_store::{Class, Counting, PAGE_RECORDS_MAX, Query, Record, Step};

use super::{Page, Section, health, keys};
use crate::{
    Admin, Failure,
    charts::{self, Edge, Layers, Node},
    endpoints::Needs,
    frame::{Answer, Frame, page},
    html::Html,
    params::Params,
    permit::Permit,
    record::Meta,
    view,
    visitor::Visitor,
};

/// LIMIT: nodes of one layer of the graph; the list has all.
const NODES_MAX: usize = 12;
/// LIMIT: values of a kind that are counted, the most frequent.
const VALUES_MAX: u16 = 500;
/// LIMIT: assets whose last request is looked for beyond the newest requests, each by itself.
const LOOKS_MAX: usize = 24;
/// What "of late" is.
const LATE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) static PAGE: Page = Page {
    path: "/assets",
    title: "Assets",
    letter: Some('i'),
    section: Section::Protect,
    icon: "assets",
    needs: Needs::Read(Area::Assets),
    serve: || get(show),
};

#[derive(Template)]
#[template(path = "assets.html")]
struct Assets {
    f: Frame,
    empty: bool,
    graph: Html,
    graph_of: String,
    rows: Vec<Row>,
}

/// An asset.
struct Row {
    kind: &'static str,
    icon: &'static str,
    key: String,
    name: String,
    state: Html,
    about: String,
    href: String,
    seen: Option<Timestamp>,
    requests: String,
    findings: String,
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    Params::of_query(uri.query(), &[])?;
    let permit = &visitor.permit;
    let names = keys::names(&admin, permit).await?;
    let query = Query { limit: PAGE_RECORDS_MAX, sealed: false, ..Query::new(&DECISION) };
    let newest = admin.gateway.store.list(permit.tenant(), &query).await?.records;
    let (graph, graph_of) = graph(&admin, &newest, &names);
    let rows = inventory(&admin, permit, &newest).await?;
    page(&Assets {
        f: Frame::new(&visitor, &PAGE, &uri),
        empty: rows.is_empty(),
        graph,
        graph_of,
        rows,
    })
}

/// How many requests, or findings, each asset has.
struct Tally(HashMap<(&'static str, String), u64>);

impl Tally {
    async fn of(
        admin: &Admin,
        tenant: &Tenant,
        class: &'static Class,
        by: &[&'static str],
        since: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let counting =
            Counting { by: by.to_vec(), values_max: VALUES_MAX, since, ..Counting::new(class) };
        let counts = admin.gateway.store.count(tenant, &counting).await?;
        let mut out = HashMap::new();
        for (kind, counted) in by.iter().zip(counts.facets) {
            out.extend(counted.values.into_iter().map(|(value, n)| ((*kind, value), n)));
        }
        Ok(Self(out))
    }

    fn get(&self, kind: &'static str, value: &str) -> u64 {
        self.0.get(&(kind, value.to_owned())).copied().unwrap_or(0)
    }
}

/// What is known of assets from records.
struct Known<'a> {
    admin: &'a Admin,
    tenant: &'a Tenant,
    all: Tally,
    late: Tally,
    /// By route alone: of keys and models no finding knows.
    findings: Option<Tally>,
    /// When an asset was last seen, among the newest requests.
    seen: HashMap<(&'static str, String), Timestamp>,
    looks: usize,
}

impl<'a> Known<'a> {
    async fn of(admin: &'a Admin, permit: &'a Permit, newest: &[Record]) -> Result<Self, Failure> {
        const BY: &[&str] = &["key", "route", "model"];
        let tenant = permit.tenant();
        // From the beginning of five minutes on: the tallies tell that without any record.
        let late = admin.gateway.cx.now().before(LATE).millis();
        let late = Timestamp::from_millis(late - late.rem_euclid(Step::FiveMinutes.millis()));
        let may = permit.also(admin, Access::Read(Area::Findings)).is_ok();
        let findings = match may {
            true => Some(Tally::of(admin, tenant, &FINDING, &["route"], Some(late)).await?),
            false => None,
        };
        let mut seen = HashMap::new();
        for record in newest {
            let meta = Meta(&record.meta);
            for kind in BY {
                seen.entry((*kind, meta.text(kind).to_owned())).or_insert(record.time);
            }
            let target = target(meta.text("route"), meta.text("target"));
            seen.entry(("target", target)).or_insert(record.time);
        }
        Ok(Self {
            admin,
            tenant,
            all: Tally::of(admin, tenant, &DECISION, BY, None).await?,
            late: Tally::of(admin, tenant, &DECISION, BY, Some(late)).await?,
            findings,
            seen,
            looks: LOOKS_MAX,
        })
    }

    /// When the asset had its last request, as far as that is found soon.
    async fn seen(
        &mut self,
        kind: &'static str,
        value: &str,
    ) -> Result<Option<Timestamp>, Failure> {
        if let Some(at) = self.seen.get(&(kind, value.to_owned())) {
            return Ok(Some(*at));
        }
        if self.all.get(kind, value) == 0 || self.looks == 0 {
            return Ok(None);
        }
        self.looks -= 1;
        let filters = vec![(kind, value.to_owned())];
        let query = Query { filters, limit: 1, sealed: false, ..Query::new(&DECISION) };
        let found = self.admin.gateway.store.list(self.tenant, &query).await?;
        Ok(found.records.first().map(|record| record.time))
    }

    fn requests(&self, kind: &'static str, value: &str) -> String {
        charts::number(self.late.get(kind, value))
    }

    /// Words for all requests that are kept.
    fn in_all(&self, kind: &'static str, value: &str) -> String {
        match self.all.get(kind, value) {
            0 => "no request yet".to_owned(),
            n => format!("{} in all", requests(n)),
        }
    }
}

async fn inventory(admin: &Admin, permit: &Permit, newest: &[Record]) -> Result<Vec<Row>, Failure> {
    let mut known = Known::of(admin, permit, newest).await?;
    let mut rows = Vec::new();
    for key in admin.gateway.keys.list(permit.tenant()).await? {
        let id = key.id.to_string();
        let state = keys::state(&key, admin.gateway.cx.now());
        rows.push(Row {
            kind: "application",
            icon: "key",
            state: view::key_state(state),
            about: known.in_all("key", &id),
            href: format!("/keys/{id}"),
            seen: known.seen("key", &id).await?,
            requests: known.requests("key", &id),
            findings: String::new(),
            key: id,
            name: key.name,
        });
    }
    let live = admin.gateway.live();
    for route in live.routes.values() {
        let targets = route.pool.states();
        let conditions = || targets.iter().map(|target| health::condition(&target.condition));
        // A route does as well as the best of its endpoints: that one answers.
        let best = ["good", "note", "bad"]
            .into_iter()
            .find_map(|class| conditions().find(|(found, _)| *found == class));
        let all = known.in_all("route", &route.name);
        let findings = known.findings.as_ref().map(|tally| tally.get("route", &route.name));
        rows.push(Row {
            kind: "route",
            icon: "route",
            key: route.name.clone(),
            name: route.name.clone(),
            state: best.map(state).unwrap_or_default(),
            about: format!("{all}; serves {}", route.config.models.join(", ")),
            href: Params::default().with("route", &route.name).at("/traffic"),
            seen: known.seen("route", &route.name).await?,
            requests: known.requests("route", &route.name),
            findings: findings.map(charts::number).unwrap_or_default(),
        });
        for one in &targets {
            let id = target(&route.name, &one.name);
            rows.push(Row {
                kind: "endpoint",
                icon: "health",
                state: state(health::condition(&one.condition)),
                about: match one.running {
                    0 => format!("of route {}", route.name),
                    n => format!(
                        "of route {}; {} now",
                        route.name,
                        requests(u64::try_from(n).unwrap_or(0))
                    ),
                },
                href: "/health".to_owned(),
                seen: known.seen("target", &id).await?,
                requests: String::new(),
                findings: String::new(),
                key: id,
                name: one.name.clone(),
            });
        }
    }
    let mut models: Vec<(String, u64)> = known
        .all
        .0
        .iter()
        .filter(|((kind, _), _)| *kind == "model")
        .map(|((_, model), n)| (model.clone(), *n))
        .collect();
    models.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (model, _) in models {
        let used = known.late.get("model", &model) > 0;
        rows.push(Row {
            kind: "model",
            icon: "assets",
            state: if used {
                view::tag("good", "good", "in use")
            } else {
                view::tag("", "close", "quiet")
            },
            about: known.in_all("model", &model),
            href: Params::default().with("model", &model).at("/traffic"),
            seen: known.seen("model", &model).await?,
            requests: known.requests("model", &model),
            findings: String::new(),
            key: model.clone(),
            name: model,
        });
    }
    Ok(rows)
}

fn requests(n: u64) -> String {
    let what = if n == 1 { "request" } else { "requests" };
    format!("{} {what}", charts::number(n))
}

/// An endpoint of a route: two routes may call theirs the same.
fn target(route: &str, name: &str) -> String {
    format!("{route}-{name}")
}

fn state((class, words): (&'static str, &'static str)) -> Html {
    let icon = match class {
        "good" => "good",
        "note" => "pending",
        _ => "block",
    };
    view::tag(class, icon, words)
}

/// From application to route to model to endpoint, as the newest requests went.
fn graph(admin: &Admin, newest: &[Record], names: &[(Id, String)]) -> (Html, String) {
    let mut edges: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut layers: [BTreeMap<String, u64>; 4] = Default::default();
    for record in newest {
        let meta = Meta(&record.meta);
        let stops = [meta.text("key"), meta.text("route"), meta.text("model"), meta.text("target")];
        let stops: Vec<String> = ["key", "route", "model", "target"]
            .iter()
            .zip(stops)
            .filter(|(_, name)| !name.is_empty())
            .map(|(kind, name)| format!("{kind}:{name}"))
            .collect();
        for (layer, stop) in layers.iter_mut().zip(&stops) {
            *layer.entry(stop.clone()).or_default() += 1;
        }
        for (from, to) in stops.iter().zip(stops.iter().skip(1)) {
            *edges.entry((from.clone(), to.clone())).or_default() += 1;
        }
    }
    let [keys, routes, models, targets] = layers.map(|layer| most(layer, names, &admin.gateway));
    let layers = vec![
        ("Applications", keys),
        ("Routes", routes),
        ("Models", models),
        ("Endpoints", targets),
    ];
    let graph = Layers {
        id: "reach",
        title: "Which applications reach which models",
        about: "From applications by their routes and models to the endpoints that answered, as wide as many requests went.",
        layers,
        edges: edges.into_iter().map(|((from, to), count)| Edge { from, to, count }).collect(),
    };
    let of = requests(u64::try_from(newest.len()).unwrap_or(0));
    (graph.html(), format!("the newest {of}"))
}

fn most(layer: BTreeMap<String, u64>, names: &[(Id, String)], gateway: &Gateway) -> Vec<Node> {
    let mut layer: Vec<(String, u64)> = layer.into_iter().collect();
    layer.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    layer.truncate(NODES_MAX);
    let node = |(key, count): (String, u64)| {
        let (kind, value) = key.split_once(':').unwrap_or(("", &key));
        let name = names
            .iter()
            .find(|(id, _)| kind == "key" && id.to_string() == value)
            .map_or(value, |(_, name)| name);
        let href = match kind {
            "target" => "/health".to_owned(),
            kind => Params::default().with(kind, value).at("/traffic"),
        };
        let gone = kind == "route" && !gateway.live().routes.contains_key(value);
        let about = format!("{}{}", requests(count), if gone { ", now gone" } else { "" });
        Node { name: name.to_owned(), about, href: Some(href), key: key.clone() }
    };
    layer.into_iter().map(node).collect()
}
