//! Which decisions, findings and refusals are meant: the filters that lists, facets and histograms
//! share, in the API and on pages.

use bartizan_core::Timestamp;
use bartizan_gateway::{
    REFUSAL,
    decisions::{DECISION, FINDING},
};
use bartizan_store::{Class, Counting, Cursor, PAGE_RECORDS_MAX, Query, Step, Steps, VALUES_MAX};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Failure;

/// Records of a page, when the query is silent.
const PAGE: u16 = 100;
/// Values of a facet, when the query is silent.
const VALUES: u16 = 20;

/// What to ask about, as the types below say it.
pub(crate) trait Which {
    const CLASS: &'static Class;
    /// Facets and the values that they must have.
    fn filters(&self) -> Vec<(&'static str, String)>;
    fn range(&self) -> (Option<Timestamp>, Option<Timestamp>);
}

/// Makes a query's type: the filters of a class, the range of time, and what else there is.
macro_rules! which {
    (
        $(#[$about:meta])* $name:ident of $class:ident {
            $($(#[$doc:meta])* $field:ident = $facet:literal,)*
        } and { $($(#[$other_doc:meta])* $other:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$doc])* pub(crate) $field: Option<String>,)*
            /// Not before this time (RFC 3339).
            #[schemars(with = "Option<String>")]
            pub(crate) since: Option<Timestamp>,
            /// Before this time (RFC 3339).
            #[schemars(with = "Option<String>")]
            pub(crate) until: Option<Timestamp>,
            $($(#[$other_doc])* pub(crate) $other: $type,)*
        }

        impl Which for $name {
            const CLASS: &'static Class = &$class;

            fn filters(&self) -> Vec<(&'static str, String)> {
                let filters = [$(($facet, &self.$field),)*];
                let named = |(facet, value): (&'static str, &Option<String>)| {
                    Some((facet, value.clone()?))
                };
                filters.into_iter().filter_map(named).collect()
            }

            fn range(&self) -> (Option<Timestamp>, Option<Timestamp>) {
                (self.since, self.until)
            }
        }
    };
}

macro_rules! decisions {
    ($(#[$about:meta])* $name:ident { $($other:tt)* }) => {
        which! {
            $(#[$about])* $name of DECISION {
                /// Only of this verdict: `allow`, `annotate`, `redact`, `hold` or `block`.
                verdict = "verdict",
                /// Only through this route.
                route = "route",
                /// Only of this model, as the application named it.
                model = "model",
                /// Only by the key of this id.
                key = "key",
                /// Only where the rule of this code found something.
                rule = "rules",
                /// Only of this protocol, such as `openai-chat`.
                protocol = "protocol",
                /// Only answered with this HTTP status.
                status = "status",
                /// Only on behalf of this end user, whose keyed digest records have.
                end_user = "end_user",
            } and { $($other)* }
        }
    };
}

macro_rules! findings {
    ($(#[$about:meta])* $name:ident { $($other:tt)* }) => {
        which! {
            $(#[$about])* $name of FINDING {
                /// Only of the rule of this code.
                code = "code",
                /// Only of this severity: `informational`, `low`, `medium`, `high` or `critical`.
                severity = "severity",
                /// Only through this route.
                route = "route",
                /// Only in this direction: `in` the request, or `out` in the answer.
                direction = "direction",
                /// Only in the request of this id.
                request = "request",
                /// Only in this state: `open`, `acknowledged` or `resolved`.
                state = "state",
                /// Only of this person, as `person:ID`.
                assignee = "assignee",
                /// Only where the text was read so: `plain`, or the decodings, outermost first.
                read_as = "read_as",
            } and { $($other)* }
        }
    };
}

macro_rules! refusals {
    ($(#[$about:meta])* $name:ident { $($other:tt)* }) => {
        which! {
            $(#[$about])* $name of REFUSAL {
                /// Only of this code, such as `over_limit`.
                code = "code",
                /// Only of the key of this id.
                key = "key",
                /// Only through this route.
                route = "route",
                /// Only from this address.
                caller = "caller",
                /// Only on behalf of this end user, whose keyed digest records have.
                end_user = "end_user",
                /// Only there: `data`, the gateway itself, or `admin`, administration.
                plane = "plane",
            } and { $($other)* }
        }
    };
}

macro_rules! each {
    ($of:ident: $list:ident, $facets:ident, $histogram:ident) => {
        $of! {
            /// Which of them to list.
            $list {
                /// `next` of the page before.
                after: Option<String>,
                /// `previous` of the page after: goes back.
                before: Option<String>,
                /// Records of a page: 1 to 500; 100 when absent.
                limit: Option<u16>,
            }
        }
        $of! {
            /// Which of them to count, and by what.
            $facets {
                /// Facets, separated by commas; all that are counted when absent.
                by: Option<String>,
                /// Values of a facet, the most frequent first: 1 to 500; 20 when absent.
                values: Option<u16>,
            }
        }
        $of! {
            /// Which of them to count over time.
            $histogram {
                /// How long a step is; `1h` when absent.
                step: Option<StepName>,
                /// Also tell the 12 most frequent values of this facet apart.
                by: Option<String>,
            }
        }

        impl $list {
            pub(crate) fn query(&self) -> Result<Query<'static>, Failure> {
                list(self, (&self.after, &self.before), self.limit)
            }
        }

        impl $facets {
            pub(crate) fn counting(&self) -> Counting<'_> {
                facets(self, self.by.as_deref(), self.values)
            }
        }

        impl $histogram {
            pub(crate) fn counting(&self) -> Counting<'_> {
                let step = self.step.unwrap_or(StepName::Hour).step();
                histogram(self, step, self.by.as_deref())
            }
        }
    };
}

each!(decisions: WhichDecisions, DecisionFacets, DecisionHistogram);
each!(findings: WhichFindings, FindingFacets, FindingHistogram);
each!(refusals: WhichRefusals, RefusalFacets, RefusalHistogram);

/// How long a step of a histogram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum StepName {
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

impl StepName {
    pub(crate) const fn step(self) -> Step {
        match self {
            Self::FiveMinutes => Step::FiveMinutes,
            Self::Hour => Step::Hour,
            Self::Day => Step::Day,
        }
    }
}

fn list<W: Which>(
    which: &W,
    (after, before): (&Option<String>, &Option<String>),
    limit: Option<u16>,
) -> Result<Query<'static>, Failure> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_RECORDS_MAX).contains(&limit) {
        let message = format!("`limit` is {limit}: expected 1 to {PAGE_RECORDS_MAX}");
        return Err(Failure::invalid(message));
    }
    if after.is_some() && before.is_some() {
        return Err(Failure::invalid("both `after` and `before` are given: choose one"));
    }
    let (since, until) = which.range();
    Ok(Query {
        filters: which.filters(),
        since,
        until,
        after: after.as_deref().map(Cursor::from),
        before: before.as_deref().map(Cursor::from),
        sealed: false,
        limit,
        ..Query::new(W::CLASS)
    })
}

fn facets<'a, W: Which>(which: &W, by: Option<&'a str>, values: Option<u16>) -> Counting<'a> {
    let (since, until) = which.range();
    let by = match by {
        Some(by) => by.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        None => W::CLASS.counted.to_vec(),
    };
    let values_max = values.unwrap_or(VALUES);
    Counting { filters: which.filters(), since, until, by, values_max, ..Counting::new(W::CLASS) }
}

fn histogram<'a, W: Which>(which: &W, step: Step, by: Option<&'a str>) -> Counting<'a> {
    let (since, until) = which.range();
    let steps = Some(Steps { step, by });
    let values_max = VALUES_MAX;
    Counting {
        filters: which.filters(),
        since,
        until,
        steps,
        values_max,
        ..Counting::new(W::CLASS)
    }
}
