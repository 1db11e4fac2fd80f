//! Facets of a list: how many records have each value, and the address narrowed to it.

use bartizan_store::{Counts, FacetCounts};

use crate::{charts, params::Params};

/// A facet's name in the store, in the address, and in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) facet: &'static str,
    pub(crate) param: &'static str,
    pub(crate) title: &'static str,
    /// Whether it begins unfolded.
    pub(crate) open: bool,
}

/// A facet, as the page shows it.
#[derive(Clone, Debug)]
pub(crate) struct Facet {
    pub(crate) title: &'static str,
    pub(crate) open: bool,
    pub(crate) values: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) shown: String,
    pub(crate) count: String,
    pub(crate) href: String,
    pub(crate) here: bool,
}

/// The filters that an address sets, in the order of the names.
pub(crate) fn filters(names: &[Names], params: &Params) -> Vec<(&'static str, String)> {
    let set = names.iter().filter_map(|one| Some((one.facet, params.get(one.param)?.to_owned())));
    set.collect()
}

/// Facets with their counts; a value that is set is listed although nothing has it.
pub(crate) fn facets(
    names: &[Names],
    counts: &Counts,
    params: &Params,
    path: &str,
    say: impl Fn(&str, &str) -> String,
) -> Vec<Facet> {
    let facet = |one: &Names| {
        let set = params.get(one.param);
        let counted = counts.facets.iter().find(|counted| counted.facet == one.facet);
        let mut values: Vec<(String, String)> = counted.map(told).unwrap_or_default();
        if let Some(set) = set
            && !values.iter().any(|(value, _)| value == set)
        {
            values.insert(0, (set.to_owned(), "0".to_owned()));
        }
        let value = |(value, count): (String, String)| {
            let here = set == Some(value.as_str());
            let to = if here { params.without(one.param) } else { params.with(one.param, &value) };
            Value { shown: say(one.facet, &value), count, href: to.at(path), here }
        };
        let values = values.into_iter().map(value).collect();
        Facet { title: one.title, open: one.open || set.is_some(), values }
    };
    names.iter().map(facet).collect()
}

fn told(counted: &FacetCounts) -> Vec<(String, String)> {
    let more = if counted.exact { "" } else { "+" };
    let one = |(value, count): &(String, u64)| {
        (value.clone(), format!("{}{more}", charts::number(*count)))
    };
    counted.values.iter().map(one).collect()
}

/// What is set, in words, each with the address without it.
pub(crate) fn chips(
    names: &[Names],
    params: &Params,
    path: &str,
    say: impl Fn(&str, &str) -> String,
) -> Vec<(String, String)> {
    let chip = |one: &Names| {
        let value = params.get(one.param)?;
        let words = format!("{}: {}", one.title.to_lowercase(), say(one.facet, value));
        Some((words, params.without(one.param).at(path)))
    };
    names.iter().filter_map(chip).collect()
}

/// How many there are, in words.
pub(crate) fn total(counts: &Counts, one: &str, many: &str) -> String {
    let at_least = if counts.exact { "" } else { "at least " };
    let what = if counts.records == 1 { one } else { many };
    format!("{at_least}{} {what}", charts::number(counts.records))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[Names] = &[Names { facet: "rules", param: "rule", title: "Rule", open: false }];

    #[test]
    fn values_lead_to_the_list_narrowed_to_them_and_back() {
        let params =
            Params::of_query(Some("rule=GD001&after=x"), &["rule", "after"]).expect("known");
        let counted = FacetCounts {
            facet: "rules".to_owned(),
            values: vec![("GD001".to_owned(), 1234), ("GD002".to_owned(), 1)],
            more: false,
            exact: true,
        };
        let counts = Counts { records: 1, exact: true, facets: vec![counted], ..Counts::default() };
        let facets = facets(NAMES, &counts, &params, "/traffic", |_, value| value.to_owned());
        let shown: Vec<_> = facets
            .iter()
            .flat_map(|f| &f.values)
            .map(|v| (v.href.as_str(), v.count.as_str(), v.here))
            .collect();
        assert_eq!(shown, [("/traffic", "1,234", true), ("/traffic?rule=GD002", "1", false)]);
        assert_eq!(
            chips(NAMES, &params, "/traffic", |_, v| v.to_owned()),
            [("rule: GD001".to_owned(), "/traffic".to_owned())]
        );
    }

    #[test]
    fn what_was_not_counted_whole_says_so() {
        let counts = Counts { records: 5, exact: false, ..Counts::default() };
        assert_eq!(total(&counts, "request", "requests"), "at least 5 requests");
    }
}
