//! Guard rules: what is looked for in texts, what each rule does on each route, what it found.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::Uri,
    routing::get,
};
use bartizan_core::Example;
use bartizan_gateway::decisions::FINDING;
use bartizan_guard::Rule;
use bartizan_policy::Area;
use bartizan_store::Counting;

use super::{Page, Section};
use crate::{
    Admin, Failure,
    endpoints::Needs,
    frame::{Answer, Frame, page},
    params::Params,
    visitor::Visitor,
};

pub(super) static PAGE: Page = Page {
    path: "/rules",
    title: "Guard rules",
    letter: Some('u'),
    section: Section::Protect,
    icon: "rules",
    needs: Needs::Read(Area::Routes),
    serve: || get(list),
};
pub(super) static ONE: Page =
    Page::below("/rules/{code}", "Guard rule", Needs::Read(Area::Routes), || get(one));

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    f: Frame,
    q: String,
    rows: Vec<Row>,
    all: usize,
}

struct Row {
    code: &'static str,
    name: String,
    severity: &'static str,
    action: &'static str,
    needs: &'static str,
    /// Routes where it does otherwise than shipped.
    differs: String,
    findings: u64,
}

#[derive(Template)]
#[template(path = "rule.html")]
struct One {
    f: Frame,
    code: &'static str,
    name: String,
    severity: &'static str,
    action: &'static str,
    help: &'static str,
    needs: &'static str,
    channels: String,
    views: &'static str,
    since: &'static str,
    references: &'static [&'static str],
    examples: Vec<(bool, &'static str)>,
    /// Name, mode and action of each.
    routes: Vec<(String, &'static str, &'static str)>,
}

fn needs(rule: &Rule) -> &'static str {
    use bartizan_guard::Needs;
    match rule.needs {
        Needs::Automaton => "as much as may become a match",
        Needs::Sentence => "the sentence",
        Needs::Whole => "the whole text",
    }
}

fn name(rule: &Rule) -> String {
    rule.meta.name.replace('-', " ")
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["q"])?;
    let q = params.get("q").unwrap_or_default().to_owned();
    let low = q.to_lowercase();
    let counting = Counting { by: vec!["code"], values_max: 500, ..Counting::new(&FINDING) };
    let counts = admin.gateway.store.count(visitor.permit.tenant(), &counting).await?;
    let found = counts.facets.first().map(|facet| facet.values.as_slice()).unwrap_or_default();
    let live = admin.gateway.live();
    let all = admin.gateway.guard.rules();
    let fits =
        |rule: &&&Rule| rule.meta.code.to_lowercase().contains(&low) || name(rule).contains(&low);
    let row = |rule: &&'static Rule| {
        let code = rule.meta.code;
        let differs = live.routes.values().filter(|route| route.config.rules.contains_key(code));
        let differs: Vec<&str> = differs.map(|route| route.name.as_str()).collect();
        Row {
            code,
            name: name(rule),
            severity: rule.meta.severity.as_str(),
            action: rule.action.as_str(),
            needs: needs(rule),
            differs: differs.join(", "),
            findings: found.iter().find(|(known, _)| known == code).map_or(0, |(_, n)| *n),
        }
    };
    let rows = all.iter().filter(fits).map(row).collect();
    page(&Rules { f: Frame::new(&visitor, &PAGE, &uri), q, rows, all: all.len() })
}

async fn one(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    Path(code): Path<String>,
) -> Answer {
    let rules = admin.gateway.guard.rules();
    let rule = rules.iter().find(|rule| rule.meta.code == code).ok_or_else(|| {
        let shown = bartizan_core::json::clip(&code, 32);
        Failure::not_found(format!("there is no rule `{shown}`"))
    })?;
    let live = admin.gateway.live();
    let routes = live.routes.values().map(|route| {
        let setting = route.profile.setting(rule);
        (route.name.clone(), setting.mode.as_str(), setting.action.as_str())
    });
    let channel = |channel: &bartizan_guard::Channel| {
        let word = serde_json::to_value(channel).unwrap_or_default();
        word.as_str().unwrap_or_default().replace('_', " ")
    };
    let example = |example: &Example| match example {
        Example::Hit(text) => (true, *text),
        Example::Miss(text) => (false, *text),
    };
    page(&One {
        f: Frame::new(&visitor, &PAGE, &uri).below(rule.meta.code, PAGE.path.to_owned()),
        code: rule.meta.code,
        name: name(rule),
        severity: rule.meta.severity.as_str(),
        action: rule.action.as_str(),
        help: rule.meta.help,
        needs: needs(rule),
        channels: rule.channels.iter().map(channel).collect::<Vec<_>>().join(", "),
        views: if rule.views { "are read, too" } else { "are not read" },
        since: rule.meta.since,
        references: rule.meta.refs,
        examples: rule.meta.examples.iter().map(example).collect(),
        routes: routes.collect(),
    })
}
