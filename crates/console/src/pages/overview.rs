//! Overview: what happens, what was found, whether all works, and what needs a person.

use askama::Template;
use axum::{extract::State, http::Uri, routing::get};
use bartizan_core::{Tenant, Timestamp};
use bartizan_gateway::decisions::{DECISION, FINDING};
use bartizan_policy::Area;
use bartizan_store::{Counting, Counts, PAGE_RECORDS_MAX, Query, Steps};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Page, Section, health, refusals, traffic};
use crate::{
    Admin, Failure,
    charts::{self, Bar, Line, Lines, bars, sparkline},
    endpoints::Needs,
    frame::{Answer, Frame, page},
    html::Html,
    params::Params,
    range::Range,
    record::Meta,
    view,
    visitor::Visitor,
};

/// Fewer moments than these make no line over time.
const STEPS_MIN: usize = 4;
/// Rules of the list.
const RULES_MAX: u16 = 8;

pub(super) static PAGE: Page = Page {
    path: "/",
    title: "Overview",
    letter: Some('o'),
    section: Section::Watch,
    icon: "overview",
    needs: Needs::Read(Area::Decisions),
    serve: || get(show),
};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    f: Frame,
    ready: bool,
    ranges: Vec<(&'static str, String, bool)>,
    tiles: Vec<Tile>,
    traffic: String,
    histogram: Html,
    needs: Vec<Need>,
    rules: Html,
    rules_empty: bool,
    latency: Option<Html>,
    latency_of: String,
    ledger_good: bool,
    ledger_size: String,
    ledger_root: String,
    ledger_origin: String,
}

struct Tile {
    tag: Html,
    value: String,
    unit: &'static str,
    href: String,
    spark: Html,
}

/// Something that waits for a person.
struct Need {
    icon: &'static str,
    class: &'static str,
    name: &'static str,
    words: String,
    count: String,
    href: &'static str,
}

async fn show(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let params = Params::of_query(uri.query(), &["range", "since", "until"])?;
    let range = Range::of(&params, admin.gateway.cx.now())?;
    let tenant = visitor.permit.tenant();
    let counting = Counting {
        since: Some(range.since),
        until: range.until(),
        by: vec!["verdict", "rules"],
        values_max: RULES_MAX,
        steps: range.step().map(|step| Steps { step, by: Some("verdict") }),
        ..Counting::new(&DECISION)
    };
    let counts = admin.gateway.store.count(tenant, &counting).await?;
    let counted = traffic::counted(&admin, tenant, &range, &[], &counts.steps).await?;
    let parts = health::parts(&admin).await;
    let needs = needs(&admin, &visitor, &parts).await?;
    let refused = refusals::total(&admin, tenant, &range).await?;
    let (latency, latency_of) = latency(&admin, tenant, &range).await?;
    let head = admin.gateway.ledger.head();
    let (rules, rules_empty) = rules(&admin, &counts, &params);
    page(&Overview {
        f: Frame::new(&visitor, &PAGE, &uri),
        ready: parts.iter().all(|part| part.class != "bad"),
        ranges: traffic::ranges(&params, &range, "/"),
        tiles: tiles(&counts, &counted, &range, &params, &refused),
        traffic: params.at("/traffic"),
        histogram: traffic::over_time(&range, counted, Some(&params)),
        needs,
        rules,
        rules_empty,
        latency,
        latency_of,
        ledger_good: admin.gateway.ledger.check().is_ok(),
        ledger_size: charts::number(head.size),
        ledger_root: STANDARD.encode(head.root),
        ledger_origin: head.origin,
    })
}

fn tiles(
    counts: &Counts,
    counted: &[(Timestamp, Vec<u64>)],
    range: &Range,
    params: &Params,
    refused: &refusals::Total,
) -> Vec<Tile> {
    let verdicts = counts.facets.iter().find(|facet| facet.facet == "verdict");
    let count = |verdict: &str| {
        let values = verdicts.map(|facet| facet.values.as_slice()).unwrap_or_default();
        values.iter().find(|(value, _)| value == verdict).map_or(0, |(_, n)| *n)
    };
    let line = |at: Option<usize>| -> Vec<u64> {
        let one = |(time, of): &(Timestamp, Vec<u64>)| {
            (*time, vec![at.map_or_else(|| of.iter().sum(), |at| of.get(at).copied().unwrap_or(0))])
        };
        let buckets = range.buckets(1, counted.iter().map(one), |_, _| None);
        buckets.iter().map(|bucket| bucket.counts.iter().sum()).collect()
    };
    let mut tiles = vec![Tile {
        tag: view::tag("bare", "traffic", "requests"),
        value: charts::number(counts.records),
        unit: if counts.exact { "" } else { "at least" },
        href: params.at("/traffic"),
        spark: sparkline("Requests over the range", &line(None)),
    }];
    for (at, (_, verdict, word)) in traffic::VERDICTS.iter().enumerate().filter(|(at, _)| *at > 0) {
        tiles.push(Tile {
            tag: view::tag("bare", verdict, word),
            value: charts::number(count(verdict)),
            unit: "",
            href: params.with("verdict", verdict).at("/traffic"),
            spark: sparkline(&format!("Requests {word} over the range"), &line(Some(at))),
        });
    }
    let series = range.buckets(1, refused.counted.iter().cloned(), |_, _| None);
    let series: Vec<u64> = series.iter().map(|bucket| bucket.counts.iter().sum()).collect();
    tiles.push(Tile {
        tag: view::tag("bare", "close", "refused"),
        value: charts::number(refused.requests),
        unit: if refused.exact { "" } else { "at least" },
        href: params.with("plane", "data").at("/refusals"),
        spark: sparkline("Requests refused before a verdict over the range", &series),
    });
    tiles
}

fn rules(admin: &Admin, counts: &Counts, params: &Params) -> (Html, bool) {
    let found = counts.facets.iter().find(|facet| facet.facet == "rules");
    let values = found.map(|facet| facet.values.as_slice()).unwrap_or_default();
    let all = admin.gateway.guard.rules();
    let name = |code: &str| {
        all.iter().find(|rule| rule.meta.code == code).map(|rule| rule.meta.name.replace('-', " "))
    };
    let names: Vec<String> =
        values.iter().map(|(code, _)| name(code).unwrap_or_default()).collect();
    let rows: Vec<Bar<'_>> = values
        .iter()
        .zip(&names)
        .map(|((code, count), name)| Bar {
            name: code,
            about: name,
            count: *count,
            href: Some(params.with("rule", code).at("/traffic")),
            class: "f-a",
        })
        .collect();
    (bars("Rules by the requests in which they found something", &rows), rows.is_empty())
}

/// Latency by time, of the newest requests: a middle, and the slow ones.
async fn latency(
    admin: &Admin,
    tenant: &Tenant,
    range: &Range,
) -> Result<(Option<Html>, String), Failure> {
    let query = Query {
        since: Some(range.since),
        until: range.until(),
        limit: PAGE_RECORDS_MAX,
        sealed: false,
        ..Query::new(&DECISION)
    };
    let found = admin.gateway.store.list(tenant, &query).await?;
    let took: Vec<(Timestamp, u64)> = found
        .records
        .iter()
        .filter_map(|record| Some((record.time, Meta(&record.meta).number("took_ms")?)))
        .collect();
    let (Some(first), Some(last)) = (took.last(), took.first()) else {
        return Ok((None, String::new()));
    };
    // The newest may all lie in a part of the range: the line is drawn over that part.
    let until = Timestamp::from_millis(last.0.millis().saturating_add(1));
    let part = Range { since: first.0, until, name: None };
    let mut steps: Vec<Vec<u64>> =
        part.buckets(0, std::iter::empty(), |_, _| None).iter().map(|_| Vec::new()).collect();
    let begin = part.since.millis().div_euclid(part.bar());
    for (time, ms) in &took {
        let at = usize::try_from(time.millis().div_euclid(part.bar()) - begin).ok();
        if let Some(step) = at.and_then(|at| steps.get_mut(at)) {
            step.push(*ms);
        }
    }
    for step in &mut steps {
        step.sort_unstable();
    }
    let names = part
        .buckets(0, std::iter::empty(), |_, _| None)
        .into_iter()
        .map(|bucket| bucket.name)
        .collect();
    let mut all: Vec<u64> = took.iter().map(|(_, ms)| *ms).collect();
    all.sort_unstable();
    let whole = |percent| quantile(&all, percent).unwrap_or(0);
    let of = format!(
        "median {} ms, 95 of 100 {} ms",
        charts::number(whole(50)),
        charts::number(whole(95))
    );
    if steps.iter().filter(|step| !step.is_empty()).count() < STEPS_MIN {
        return Ok((Some(spread(&all)), of));
    }
    let line = |name, color, percent: usize| Line {
        name,
        color,
        values: steps.iter().map(|step| quantile(step, percent)).collect(),
    };
    let about = format!(
        "Of the newest {} requests: half took at most {} ms, 95 of 100 at most {} ms.",
        charts::number(u64::try_from(all.len()).unwrap_or(0)),
        whole(50),
        whole(95)
    );
    let lines = Lines {
        id: "latency",
        title: "How long requests took",
        about: &about,
        unit: "ms",
        steps: names,
        lines: vec![line("median", 'a', 50), line("95 of 100", 'd', 95)],
    };
    Ok((Some(lines.html()), of))
}

/// How many took how long, of sorted values in milliseconds: where too few moments are known
/// for a line over time.
fn spread(sorted: &[u64]) -> Html {
    const ENDS: &[u64] = &[10, 20, 50, 100, 200, 500, 1000, 2000, 5000, u64::MAX];
    let mut from = 0;
    let mut rows = Vec::new();
    for end in ENDS {
        let count = sorted.iter().filter(|ms| (from..*end).contains(*ms)).count();
        let name = match *end {
            u64::MAX => format!("{} ms and more", charts::number(from)),
            end => format!("under {} ms", charts::number(end)),
        };
        rows.push((name, u64::try_from(count).unwrap_or(u64::MAX)));
        from = *end;
    }
    let last = rows.iter().rposition(|(_, count)| *count > 0).unwrap_or(0);
    let first = rows.iter().position(|(_, count)| *count > 0).unwrap_or(0);
    let rows: Vec<Bar<'_>> = rows
        .get(first..=last)
        .unwrap_or_default()
        .iter()
        .map(|(name, count)| Bar { name, about: "", count: *count, href: None, class: "f-a" })
        .collect();
    bars("How many requests took how long", &rows)
}

/// The value that so many of a hundred do not exceed; of sorted values.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied()
}

async fn needs(
    admin: &Admin,
    visitor: &Visitor,
    parts: &[health::Part],
) -> Result<Vec<Need>, Failure> {
    let (store, tenant) = (&admin.gateway.store, visitor.permit.tenant());
    let pending = visitor.waiting;
    let open = Counting {
        filters: vec![("state", "open".to_owned())],
        by: vec!["severity"],
        ..Counting::new(&FINDING)
    };
    let open = store.count(tenant, &open).await?;
    let of = |severity: &str| {
        let values = open.facets.first().map(|facet| facet.values.as_slice()).unwrap_or_default();
        values.iter().find(|(value, _)| value == severity).map_or(0, |(_, n)| *n)
    };
    let mut needs = Vec::new();
    for part in parts.iter().filter(|part| part.class != "good") {
        needs.push(Need {
            icon: "bad",
            class: "bad",
            name: part.name,
            words: part.words.clone(),
            count: String::new(),
            href: "/health",
        });
    }
    if pending > 0 {
        needs.push(Need {
            icon: "hold",
            class: "note",
            name: "Approvals wait",
            words: "requests that a rule holds".to_owned(),
            count: charts::number(pending),
            href: "/approvals",
        });
    }
    for (severity, name, class, href) in [
        ("critical", "Critical findings are open", "bad", "/findings?severity=critical"),
        ("high", "High findings are open", "bad", "/findings?severity=high"),
        ("medium", "Medium findings are open", "note", "/findings?severity=medium"),
    ] {
        if of(severity) > 0 {
            needs.push(Need {
                icon: severity,
                class,
                name,
                words: "to be looked at and resolved".to_owned(),
                count: charts::number(of(severity)),
                href,
            });
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((quantile(&sorted, 50), quantile(&sorted, 95)), (Some(50), Some(95)));
        assert_eq!(
            (quantile(&[7], 50), quantile(&[7], 95), quantile(&[], 50)),
            (Some(7), Some(7), None)
        );
    }
}
