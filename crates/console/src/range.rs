//! The time that a page looks at, and its counts over it: steps that are fine enough to see
//! something and few enough to be drawn.

use std::time::Duration;

use bartizan_core::Timestamp;
use bartizan_store::{Step, StepCounts};

use crate::{Failure, charts::Bucket, params::Params};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// LIMIT: bars of a histogram.
const BARS_MAX: i64 = 72;
/// Ranges that are offered: name and length.
pub(crate) const OFFERED: &[(&str, i64)] =
    &[("1h", HOUR), ("24h", DAY), ("7d", 7 * DAY), ("30d", 30 * DAY), ("90d", 90 * DAY)];
/// Where nothing is said.
const USUAL: &str = "24h";

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// The name of an offered range, which goes up to now.
    pub(crate) name: Option<&'static str>,
}

impl Range {
    /// The range that an address asks for: `since` and `until`, or the name of a `range`.
    ///
    /// # Errors
    /// When a time cannot be read, or the end is before the beginning.
    pub(crate) fn of(params: &Params, now: Timestamp) -> Result<Self, Failure> {
        let (since, until) = (params.time("since")?, params.time("until")?);
        if since.is_none() && until.is_none() {
            let asked = params.get("range").unwrap_or(USUAL);
            let known = OFFERED.iter().find(|(name, _)| *name == asked);
            let (name, length) = known.ok_or_else(|| {
                let names: Vec<&str> = OFFERED.iter().map(|(name, _)| *name).collect();
                let shown = bartizan_core::json::clip(asked, 32);
                Failure::invalid(format!(
                    "`range` is `{shown}`: expected one of `{}`",
                    names.join("`, `")
                ))
            })?;
            let length = Duration::from_millis(length.unsigned_abs());
            return Ok(Self { since: now.before(length), until: now, name: Some(name) });
        }
        let until = until.unwrap_or(now);
        let since =
            since.unwrap_or_else(|| until.before(Duration::from_millis(DAY.unsigned_abs())));
        if since >= until {
            return Err(Failure::invalid("`since` is not before `until`"));
        }
        Ok(Self { since, until, name: None })
    }

    /// The end for a query: an offered range takes in what comes while it is read.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.name.is_none().then_some(self.until)
    }

    fn length(&self) -> i64 {
        self.until.millis().saturating_sub(self.since.millis()).max(1)
    }

    /// How long a bar is, in milliseconds.
    pub(crate) fn bar(&self) -> i64 {
        const BARS: &[i64] = &[
            10_000,
            30_000,
            MINUTE,
            2 * MINUTE,
            5 * MINUTE,
            10 * MINUTE,
            15 * MINUTE,
            30 * MINUTE,
            HOUR,
            3 * HOUR,
            6 * HOUR,
            DAY,
            7 * DAY,
            30 * DAY,
        ];
        let fits = |bar: &&i64| self.length() / **bar <= BARS_MAX;
        BARS.iter().find(fits).copied().unwrap_or(365 * DAY)
    }

    /// The store's step that bars are made of; `None` where they are finer than any.
    pub(crate) fn step(&self) -> Option<Step> {
        let bar = self.bar();
        [Step::Day, Step::Hour, Step::FiveMinutes].into_iter().find(|step| bar % step.millis() == 0)
    }

    /// Bars over the whole range. `counted` gives a time, and how many of each kind then.
    pub(crate) fn buckets(
        &self,
        kinds: usize,
        counted: impl Iterator<Item = (Timestamp, Vec<u64>)>,
        href: impl Fn(Timestamp, Timestamp) -> Option<String>,
    ) -> Vec<Bucket> {
        let bar = self.bar();
        let first = self.since.millis().div_euclid(bar);
        let last = self.until.millis().saturating_sub(1).div_euclid(bar);
        let count = usize::try_from(last - first + 1).unwrap_or(0).min(400);
        let mut counts = vec![vec![0_u64; kinds]; count];
        for (time, of) in counted {
            let at = usize::try_from(time.millis().div_euclid(bar) - first).ok();
            let Some(bucket) = at.and_then(|at| counts.get_mut(at)) else { continue };
            for (sum, more) in bucket.iter_mut().zip(of) {
                *sum += more;
            }
        }
        let named = |(at, counts): (i64, Vec<u64>)| {
            let start = Timestamp::from_millis((first + at) * bar);
            let end = Timestamp::from_millis((first + at + 1) * bar);
            Bucket { name: self.name_of(start), counts, href: href(start, end) }
        };
        (0..).zip(counts).map(named).collect()
    }

    /// A moment of the range in words as short as they can be.
    pub(crate) fn name_of(&self, at: Timestamp) -> String {
        let text = at.to_string();
        let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
        let clock = match self.bar() < MINUTE {
            true => clock.get(..8),
            false => clock.get(..5),
        };
        let date = date.get(5..).unwrap_or(date);
        match (self.bar() >= DAY, self.length() <= DAY, clock) {
            (true, ..) => date.to_owned(),
            (false, true, Some(clock)) => clock.to_owned(),
            (false, _, clock) => format!("{date} {}", clock.unwrap_or_default()),
        }
    }

    /// Words for the ends and the middle of an axis.
    pub(crate) fn axis(&self) -> [String; 3] {
        let middle = Timestamp::from_millis(self.since.millis().saturating_add(self.length() / 2));
        [self.name_of(self.since), self.name_of(middle), self.name_of(self.until)]
    }
}

/// What the store counted by step, in the order of these kinds.
pub(crate) fn by_kind(steps: &StepCounts, kinds: &[&str]) -> Vec<(Timestamp, Vec<u64>)> {
    let of = |values: &[(String, u64)], kind: &str| {
        values.iter().find(|(value, _)| value == kind).map_or(0, |(_, count)| *count)
    };
    let step = |step: &bartizan_store::StepCount| {
        (step.start, kinds.iter().map(|kind| of(&step.values, kind)).collect())
    };
    steps.steps.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: &str) -> Result<Range, Failure> {
        let params = Params::of_query(Some(query), &["range", "since", "until"])?;
        Range::of(&params, Timestamp::parse("2026-01-31T12:00:00Z").expect("a time"))
    }

    #[test]
    fn bars_are_few_and_made_of_whole_steps() {
        for (query, bar, step) in [
            ("", 30 * MINUTE, Some(Step::FiveMinutes)),
            ("range=1h", MINUTE, None),
            ("range=7d", 3 * HOUR, Some(Step::Hour)),
            ("range=90d", 7 * DAY, Some(Step::Day)),
            ("since=2026-01-31T11:59:00Z", 10_000, None),
        ] {
            let range = range(query).expect("a range");
            assert_eq!((range.bar(), range.step()), (bar, step), "{query}");
            let buckets = range.buckets(1, std::iter::empty(), |_, _| None);
            assert!(buckets.len() <= 74, "{query}: {}", buckets.len());
        }
    }

    #[test]
    fn what_was_counted_falls_into_its_bar() {
        let range = range("range=24h").expect("a range");
        let at = Timestamp::parse("2026-01-31T11:40:00Z").expect("a time");
        let early = Timestamp::parse("2026-01-01T00:00:00Z").expect("a time");
        let buckets = range.buckets(
            2,
            [(at, vec![1, 2]), (at, vec![1, 0]), (early, vec![9, 9])].into_iter(),
            |_, _| None,
        );
        let last = buckets.last().expect("a bar");
        assert_eq!((last.name.as_str(), last.counts.as_slice()), ("11:30", &[2, 2][..]));
        assert_eq!(buckets.iter().flat_map(|b| &b.counts).sum::<u64>(), 4);
    }

    #[test]
    fn ranges_made_by_hand_are_refused_with_a_reason() {
        for (query, message) in [
            ("range=2h", "`range` is `2h`: expected one of `1h`, `24h`, `7d`, `30d`, `90d`"),
            (
                "since=2026-01-31T12:00:00Z&until=2026-01-31T12:00:00Z",
                "`since` is not before `until`",
            ),
        ] {
            assert_eq!(range(query).expect_err("wrong").message, message);
        }
        assert!(range("since=yesterday").is_err());
    }
}
