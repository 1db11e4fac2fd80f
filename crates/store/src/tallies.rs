//! Tallies: how many records of a class there are, in all and with each value of its counted
//! facets, for each five minutes, hour and day. Counting reads them in place of the records.
//!
//! They are kept in the transaction that changes the records, so that no crash parts the two.
//! A transaction does not touch the tallies themselves, since every record of an hour would
//! change the same few rows: it adds one line to a log, which says what it changed. Some tens
//! of lines are folded into the tallies at once. Whoever counts adds the log to the tallies.
//!
//! A range of time that begins or ends within five minutes is completed from the records
//! there, and what several filters let pass is counted record by record; in both, only so many
//! are looked at, the newest, and then the answer says that there are at least as many.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use bartizan_core::Timestamp;

use crate::{
    Counts, FacetCounts, STEPS_MAX, Step, StepCount, StepCounts, facets, repository::CountQuery,
};

/// LIMIT: how many records are looked at whose metadata has to be read, so that an answer takes
/// some tens of milliseconds.
pub(crate) const READ_MAX: usize = 500;
/// LIMIT: how many are looked at in the index alone.
pub(crate) const SEEN_MAX: usize = 10_000;
/// LIMIT: how many values of a facet are summed up, the latest met; an application that makes
/// up values must not make counting slow.
pub(crate) const NAMES_MAX: usize = 2000;
/// LIMIT: how many values a histogram tells apart; more cannot be told apart by their colours.
const STACK_MAX: usize = 12;

/// The facet, and its only value, under which every record is counted.
const ALL: (&str, &str) = ("", "");

/// What a transaction changes in the tallies.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a>(HashMap<(&'a str, &'a str), Lines<'a>>);

/// By the start of the five minutes, facet and value.
type Lines<'a> = HashMap<(i64, &'a str, &'a str), i64>;

/// One change, as it stands in the log: start of the five minutes, facet, value, how many.
type Line<'a> = (i64, Cow<'a, str>, Cow<'a, str>, i64);

impl<'a> Changes<'a> {
    /// Notes that `by` records of these facets came, or went.
    pub(crate) fn add(
        &mut self,
        (tenant, class): (&'a str, &'a str),
        counted: &[&str],
        time: Timestamp,
        facets: &'a [(String, String)],
        by: i64,
    ) {
        if counted.is_empty() {
            return;
        }
        let start = Step::FiveMinutes.floor(time.millis());
        let lines = self.0.entry((tenant, class)).or_default();
        *lines.entry((start, ALL.0, ALL.1)).or_default() += by;
        for (facet, value) in facets {
            if counted.contains(&facet.as_str()) {
                *lines.entry((start, facet, value)).or_default() += by;
            }
        }
    }

    /// Tenant, class, and the line of the log that says what changed; nothing for what did not.
    pub(crate) fn lines(self) -> Vec<(&'a str, &'a str, String)> {
        let line = |((tenant, class), lines): ((&'a str, &'a str), Lines<'a>)| {
            let changed = lines.into_iter().filter(|(_, by)| *by != 0);
            let changed: Vec<(i64, &str, &str, i64)> =
                changed.map(|((start, facet, value), by)| (start, facet, value, by)).collect();
            // Numbers and texts always serialize.
            let text = (!changed.is_empty()).then(|| serde_json::to_string(&changed).ok());
            text.flatten().map(|text| (tenant, class, text))
        };
        self.0.into_iter().filter_map(line).collect()
    }
}

fn lines(line: &str) -> sqlx::Result<Vec<Line<'_>>> {
    serde_json::from_str(line)
        .map_err(|_| sqlx::Error::Decode("a line of the tallies' log cannot be read".into()))
}

/// One tally that a fold changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tally {
    pub(crate) tenant: String,
    pub(crate) class: String,
    pub(crate) facet: String,
    pub(crate) value: String,
    pub(crate) step: Step,
    pub(crate) start: i64,
}

/// Tenant, class, facet and value.
type Name<'a> = (&'a str, &'a str, Cow<'a, str>, Cow<'a, str>);

/// What lines of the log change in the tallies, in an order that is the same for everyone.
pub(crate) fn fold(log: &[(String, String, String)]) -> sqlx::Result<Vec<(Tally, i64)>> {
    let mut sums: HashMap<Name<'_>, BTreeMap<(Step, i64), i64>> = HashMap::new();
    for (tenant, class, line) in log {
        for (start, facet, value, by) in lines(line)? {
            let sums = sums.entry((tenant, class, facet, value)).or_default();
            for step in Step::ALL {
                *sums.entry((step, step.floor(start))).or_default() += by;
            }
        }
    }
    let mut out = Vec::new();
    for ((tenant, class, facet, value), sums) in sums {
        out.extend(sums.into_iter().filter(|(_, by)| *by != 0).map(|((step, start), by)| {
            let (tenant, class) = (tenant.to_owned(), class.to_owned());
            let (facet, value) = (facet.clone().into_owned(), value.clone().into_owned());
            (Tally { tenant, class, facet, value, step, start }, by)
        }));
    }
    out.sort_unstable();
    Ok(out)
}

/// Tallies of one step, from a start up to another; no bound, no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) step: Step,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// A range of time, as far as tallies cover it, and what is left at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    since: i64,
    until: i64,
    /// The five minutes that lie within it whole.
    whole: Option<(i64, i64)>,
}

impl Range {
    fn of(query: &CountQuery<'_>) -> Self {
        let since = query.since.map_or(i64::MIN, Timestamp::millis);
        let until = query.until.map_or(i64::MAX, Timestamp::millis);
        let step = Step::FiveMinutes;
        let from = if since == i64::MIN { since } else { step.ceil(since) };
        let to = if until == i64::MAX { until } else { step.floor(until) };
        Self { since, until, whole: (from < to).then_some((from, to)) }
    }

    /// The tallies that cover it, of steps up to this one.
    fn spans(&self, largest: Step) -> Vec<Span> {
        let mut spans = Vec::new();
        let Some((mut from, mut to)) = self.whole else { return spans };
        let mut step = Step::FiveMinutes;
        for next in [Step::Hour, Step::Day] {
            let start = if from == i64::MIN { from } else { next.ceil(from) };
            let end = if to == i64::MAX { to } else { next.floor(to) };
            if next > largest || start >= end {
                break;
            }
            spans.extend([Span { step, from, to: start }, Span { step, from: end, to }]);
            (step, from, to) = (next, start, end);
        }
        spans.push(Span { step, from, to });
        spans.retain(|span| span.from < span.to);
        spans
    }

    /// What no tally covers.
    fn ends(&self) -> Vec<(i64, i64)> {
        let mut ends = match self.whole {
            Some((from, to)) => vec![(self.since, from), (to, self.until)],
            None => vec![(self.since, self.until)],
        };
        ends.retain(|(since, until)| since < until);
        ends
    }

    fn holds(&self, start: i64) -> bool {
        self.whole.is_some_and(|(from, to)| (from..to).contains(&start))
    }
}

/// What to look at record by record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) filters: &'a [(&'a str, String)],
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Whether the metadata is wanted, too.
    pub(crate) meta: bool,
    /// How many are looked at.
    pub(crate) most: usize,
}

/// What was seen: the newest records that pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Time, and metadata where it was wanted.
    pub(crate) rows: Vec<(i64, Option<String>)>,
    /// Whether that is all of them.
    pub(crate) whole: bool,
}

/// What a database gives to count by, all of it as of one moment, for one tenant and class.
pub(crate) trait Reader: Send {
    /// The lines of the log.
    fn log(&mut self) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
    /// The sum of each value's tallies, of the latest [`NAMES_MAX`] values; and whether these
    /// are all.
    fn sums(
        &mut self,
        facet: &str,
        spans: &[Span],
    ) -> impl Future<Output = sqlx::Result<(Vec<(String, i64)>, bool)>> + Send;
    /// The tallies of some values by their starts: value, start, how many; at most so many.
    fn starts(
        &mut self,
        facet: &str,
        values: &[String],
        spans: &[Span],
        most: usize,
    ) -> impl Future<Output = sqlx::Result<Vec<(String, i64, i64)>>> + Send;
    fn look(&mut self, look: Look<'_>) -> impl Future<Output = sqlx::Result<Seen>> + Send;
}

/// Counts what a query asks for.
pub(crate) async fn count(
    reader: &mut impl Reader,
    query: &CountQuery<'_>,
) -> sqlx::Result<Counts> {
    let range = Range::of(query);
    let mut sums = Sums::new(query);
    if range.since >= range.until {
        return Ok(sums.counts(|_| true, true));
    }
    // What the tallies tell: everything where there is no filter, and with one filter on a
    // counted facet how many records there are, also by time.
    let counted = |facet: &str| query.class.counted.contains(&facet);
    let told = match query.filters {
        [] if !query.class.counted.is_empty() => Some(ALL),
        [(facet, value)] if counted(facet) => Some((*facet, value.as_str())),
        _ => None,
    };
    let names = sums.names.clone();
    let (tallied, read): (Vec<&str>, Vec<&str>) =
        names.iter().copied().partition(|facet| told == Some(ALL) && counted(facet));
    let mut seen = Seen::default();
    if !read.is_empty() || told.is_none() {
        let Range { since, until, .. } = range;
        let (meta, most) = if names.is_empty() { (false, SEEN_MAX) } else { (true, READ_MAX) };
        let look = Look { filters: query.filters, since, until, meta, most };
        seen = reader.look(look).await?;
    }
    let (Some(told), false) = (told, seen.whole) else {
        sums.records(&seen, &names);
        return Ok(sums.counts(|_| seen.whole, seen.whole));
    };
    sums.values(&seen, &read);
    let mut exact = true;
    for (since, until) in range.ends() {
        let (meta, most) = (!tallied.is_empty(), READ_MAX);
        let end = reader.look(Look { filters: query.filters, since, until, meta, most }).await?;
        sums.records(&end, &tallied);
        exact &= end.whole;
    }
    for line in reader.log().await? {
        for (start, facet, value, by) in lines(&line)? {
            if !range.holds(start) {
                continue;
            }
            if (&*facet, &*value) == told {
                sums.record(start, by);
            }
            if tallied.contains(&&*facet) {
                sums.value(start, &facet, &value, by);
            }
        }
    }
    let some = sums.tallies(reader, &range, told, &tallied).await?;
    let of_facet = |facet: &str| match tallied.contains(&facet) {
        true => exact && !some.contains(&facet),
        false => seen.whole,
    };
    Ok(sums.counts(of_facet, exact))
}

/// Sums that grow while tallies, log and records are read.
struct Sums<'a> {
    query: &'a CountQuery<'a>,
    /// The facets whose values are wanted, each once.
    names: Vec<&'a str>,
    step: Option<Step>,
    /// The facet that a histogram tells apart.
    stacked: Option<&'a str>,
    records: i64,
    by_step: BTreeMap<i64, i64>,
    by_value: HashMap<&'a str, HashMap<String, i64>>,
    stacks: HashMap<String, BTreeMap<i64, i64>>,
}

impl<'a> Sums<'a> {
    fn new(query: &'a CountQuery<'a>) -> Self {
        let stacked = query.steps.and_then(|steps| steps.by);
        let mut names: Vec<&str> = query.by.iter().copied().chain(stacked).collect();
        names.sort_unstable();
        names.dedup();
        Self {
            query,
            names,
            stacked,
            step: query.steps.map(|steps| steps.step),
            records: 0,
            by_step: BTreeMap::new(),
            by_value: HashMap::new(),
            stacks: HashMap::new(),
        }
    }

    fn record(&mut self, time: i64, by: i64) {
        self.records += by;
        if let Some(step) = self.step {
            *self.by_step.entry(step.floor(time)).or_default() += by;
        }
    }

    fn value(&mut self, time: i64, facet: &str, value: &str, by: i64) {
        let Some(facet) = self.names.iter().copied().find(|name| *name == facet) else { return };
        let values = self.by_value.entry(facet).or_default();
        match values.get_mut(value) {
            Some(sum) => *sum += by,
            None => drop(values.insert(value.to_owned(), by)),
        }
        if let (Some(step), Some(stacked)) = (self.step, self.stacked)
            && stacked == facet
        {
            let stack = self.stacks.entry(value.to_owned()).or_default();
            *stack.entry(step.floor(time)).or_default() += by;
        }
    }

    /// Counts records that were looked at, and their values of these facets.
    fn records(&mut self, seen: &Seen, facets: &[&str]) {
        for (time, _) in &seen.rows {
            self.record(*time, 1);
        }
        self.values(seen, facets);
    }

    fn values(&mut self, seen: &Seen, facets: &[&str]) {
        for (time, meta) in &seen.rows {
            let values = facets::of_text(meta.as_deref().unwrap_or_default(), facets);
            for (facet, value) in values {
                self.value(*time, &facet, &value, 1);
            }
        }
    }

    /// Adds the tallies. Returns the facets of which not all values were summed up.
    async fn tallies(
        &mut self,
        reader: &mut impl Reader,
        range: &Range,
        (facet, value): (&str, &str),
        tallied: &[&'a str],
    ) -> sqlx::Result<Vec<&'a str>> {
        let mut some = Vec::new();
        let spans = range.spans(self.step.unwrap_or(Step::Day));
        let most = STEPS_MAX.saturating_mul(2);
        let told = [value.to_owned()];
        for (_, start, by) in reader.starts(facet, &told, &spans, most).await? {
            self.record(start, by);
        }
        for facet in tallied {
            let (sums, whole) = reader.sums(facet, &range.spans(Step::Day)).await?;
            if !whole {
                some.push(*facet);
            }
            let values = self.by_value.entry(facet).or_default();
            for (value, by) in sums {
                *values.entry(value).or_default() += by;
            }
        }
        if let (Some(step), Some(stacked)) = (self.step, self.stacked)
            && tallied.contains(&stacked)
        {
            let tops = self.tops(stacked, STACK_MAX).0;
            let tops: Vec<String> = tops.into_iter().map(|(value, _)| value).collect();
            let most = most.saturating_mul(STACK_MAX);
            for (value, start, by) in reader.starts(stacked, &tops, &spans, most).await? {
                let stack = self.stacks.entry(value).or_default();
                *stack.entry(step.floor(start)).or_default() += by;
            }
        }
        Ok(some)
    }

    /// The most frequent values of a facet, and whether there are more.
    fn tops(&self, facet: &str, most: usize) -> (Vec<(String, u64)>, bool) {
        let values = self.by_value.get(facet).into_iter().flatten();
        let mut values: Vec<(String, u64)> =
            values.filter_map(|(value, sum)| Some((value.clone(), positive(*sum)?))).collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let more = values.len() > most;
        values.truncate(most);
        (values, more)
    }

    fn counts(&self, of_facet: impl Fn(&str) -> bool, exact: bool) -> Counts {
        let facet = |facet: &&str| {
            let (values, more) = self.tops(facet, self.query.values_max);
            FacetCounts { facet: (*facet).to_owned(), values, more, exact: of_facet(facet) }
        };
        Counts {
            records: positive(self.records).unwrap_or(0),
            exact,
            facets: self.query.by.iter().map(facet).collect(),
            steps: StepCounts {
                steps: self.steps(),
                exact,
                values_exact: self.stacked.is_none_or(of_facet),
            },
        }
    }

    fn steps(&self) -> Vec<StepCount> {
        let tops = self.stacked.map(|facet| self.tops(facet, STACK_MAX).0).unwrap_or_default();
        let at = |value: &str, start: &i64| {
            let sum = self.stacks.get(value).and_then(|stack| stack.get(start));
            positive(sum.copied().unwrap_or(0)).unwrap_or(0)
        };
        let step = |(start, sum): (&i64, &i64)| {
            let values = tops.iter().map(|(value, _)| (value.clone(), at(value, start)));
            Some(StepCount {
                start: Timestamp::from_millis(*start),
                records: positive(*sum)?,
                values: values.collect(),
            })
        };
        self.by_step.iter().filter_map(step).collect()
    }
}

/// What is left; a value that no record has any more is none.
fn positive(sum: i64) -> Option<u64> {
    u64::try_from(sum).ok().filter(|sum| *sum > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(since: i64, until: i64) -> Range {
        let class = crate::Class {
            name: "note",
            facets: &[],
            counted: &[],
            retention: crate::Retention::FOREVER,
        };
        let at = |millis| (millis != i64::MIN && millis != i64::MAX).then_some(millis);
        Range::of(&CountQuery {
            tenant: "a",
            class: &class,
            filters: &[],
            since: at(since).map(Timestamp::from_millis),
            until: at(until).map(Timestamp::from_millis),
            by: &[],
            values_max: 10,
            steps: None,
        })
    }

    #[test]
    fn every_moment_of_a_range_is_covered_once_and_none_beyond_it() {
        let (minute, day) = (60_000, 24 * 60 * 60_000);
        let starts = [i64::MIN, -day - 1, -1, 0, 1, 4 * minute, 5 * minute, 61 * minute, day + 7];
        let lengths = [1, 2 * minute, 5 * minute, 7 * minute, 65 * minute, day, 3 * day + 1];
        for start in starts {
            let from = if start == i64::MIN { -7 } else { start };
            let ends = lengths.iter().map(|length| from.saturating_add(*length));
            for end in ends.chain([i64::MAX]) {
                let range = range(start, end);
                for largest in Step::ALL {
                    let spans = range.spans(largest).into_iter().map(|span| {
                        assert!(span.step <= largest);
                        for bound in [span.from, span.to] {
                            let open = bound == i64::MIN || bound == i64::MAX;
                            assert!(open || span.step.floor(bound) == bound, "{span:?}");
                        }
                        (span.from, span.to)
                    });
                    let mut parts: Vec<(i64, i64)> = spans.chain(range.ends()).collect();
                    parts.sort_unstable();
                    assert_eq!(parts.first().expect("covered").0, start);
                    assert_eq!(parts.last().expect("covered").1, end);
                    assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "{parts:?}");
                }
            }
        }
    }

    #[test]
    fn what_comes_and_goes_in_one_transaction_leaves_no_line() {
        let red = [("color".to_owned(), "red".to_owned())];
        let blue = [("color".to_owned(), "blue".to_owned())];
        let mut changes = Changes::default();
        let time = Timestamp::from_millis(7);
        changes.add(("a", "note"), &["color"], time, &red, 1);
        changes.add(("a", "note"), &["color"], time, &red, -1);
        changes.add(("a", "blob"), &[], time, &red, 1);
        assert_eq!(changes.lines(), []);
        let mut changes = Changes::default();
        changes.add(("a", "note"), &["color"], time, &red, -1);
        changes.add(("a", "note"), &["color"], time, &blue, 1);
        let lines = changes.lines();
        let lines: Vec<_> =
            lines.into_iter().map(|(t, c, line)| (t.to_owned(), c.to_owned(), line)).collect();
        let folded = fold(&lines).expect("read");
        let shown = folded.iter().map(|(tally, by)| format!("{} {by}", tally.value));
        // For five minutes, the hour and the day.
        let expected = ["blue 1", "blue 1", "blue 1", "red -1", "red -1", "red -1"];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
