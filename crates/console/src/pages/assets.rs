//! Assets: the applications, routes, models and endpoints that were seen at work.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_core::{Id, Tenant};
use bartizan_gateway::{Gateway, decisions::DECISION};
use bartizan_policy::Area;
use bartizan_store::{Counting, PAGE_RECORDS_MAX, Query};

use super::{Page, Section, health, keys};
use crate::{
    Admin, Failure,
    charts::{self, Edge, Layers, Node},
    endpoints::Needs,
    frame::{Answer, Frame, page},
    html::Html,
    params::Params,
    record::Meta,
    visitor::Visitor,
};

/// LIMIT: nodes of one layer of the graph; the list has all.
const NODES_MAX: usize = 12;

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

struct Row {
    kind: &'static str,
    icon: &'static str,
    key: String,
    name: String,
    about: String,
    href: String,
    count: String,
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    Params::of_query(uri.query(), &[])?;
    let tenant = visitor.permit.tenant();
    let names = keys::names(&admin, &visitor.permit).await?;
    let (graph, graph_of) = graph(&admin, tenant, &names).await?;
    let rows = inventory(&admin, tenant, &names).await?;
    page(&Assets {
        f: Frame::new(&visitor, &PAGE, &uri),
        empty: rows.is_empty(),
        graph,
        graph_of,
        rows,
    })
}

async fn inventory(
    admin: &Admin,
    tenant: &Tenant,
    names: &[(Id, String)],
) -> Result<Vec<Row>, Failure> {
    let counting =
        Counting { by: vec!["key", "route", "model"], values_max: 500, ..Counting::new(&DECISION) };
    let counts = admin.gateway.store.count(tenant, &counting).await?;
    let of = |facet: &str| {
        let found = counts.facets.iter().find(|counted| counted.facet == facet);
        found.map(|counted| counted.values.clone()).unwrap_or_default()
    };
    let count = |facet: &str, value: &str| {
        let n = of(facet).iter().find(|(known, _)| known == value).map_or(0, |(_, n)| *n);
        charts::number(n)
    };
    let mut rows = Vec::new();
    for (id, name) in names {
        let id = id.to_string();
        rows.push(Row {
            kind: "application",
            icon: "key",
            about: "by its key".to_owned(),
            href: format!("/keys/{id}"),
            count: count("key", &id),
            key: id,
            name: name.clone(),
        });
    }
    let live = admin.gateway.live();
    for route in live.routes.values() {
        rows.push(Row {
            kind: "route",
            icon: "route",
            key: route.name.clone(),
            name: route.name.clone(),
            about: format!("serves {}", route.config.models.join(", ")),
            href: Params::default().with("route", &route.name).at("/traffic"),
            count: count("route", &route.name),
        });
        for target in route.pool.states() {
            let (_, words) = health::condition(&target.condition);
            rows.push(Row {
                kind: "endpoint",
                icon: "health",
                key: format!("{}-{}", route.name, target.name),
                name: target.name,
                about: format!("of route {}; {words}", route.name),
                href: "/health".to_owned(),
                count: String::new(),
            });
        }
    }
    for (model, n) in of("model") {
        rows.push(Row {
            kind: "model",
            icon: "assets",
            href: Params::default().with("model", &model).at("/traffic"),
            about: "as applications ask for it".to_owned(),
            count: charts::number(n),
            key: model.clone(),
            name: model,
        });
    }
    Ok(rows)
}

/// From application to route to model to endpoint, as the newest requests went.
async fn graph(
    admin: &Admin,
    tenant: &Tenant,
    names: &[(Id, String)],
) -> Result<(Html, String), Failure> {
    let query = Query { limit: PAGE_RECORDS_MAX, sealed: false, ..Query::new(&DECISION) };
    let found = admin.gateway.store.list(tenant, &query).await?;
    let mut edges: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut layers: [BTreeMap<String, u64>; 4] = Default::default();
    for record in &found.records {
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
    Ok((
        graph.html(),
        format!(
            "the newest {} requests",
            charts::number(u64::try_from(found.records.len()).unwrap_or(0))
        ),
    ))
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
        let about =
            format!("{} requests{}", charts::number(count), if gone { ", now gone" } else { "" });
        Node { name: name.to_owned(), about, href: Some(href), key: key.clone() }
    };
    layer.into_iter().map(node).collect()
}
