//! Words of the pages: verdicts, severities and states by icon, word and colour; times.

use bartizan_core::Timestamp;

use crate::{
    charts, files,
    html::{Html, Text},
};

/// An icon; it repeats what a word beside it says.
pub(crate) fn icon(name: &str) -> Html {
    Html::of(format_args!(
        "<svg class=\"i\" aria-hidden=\"true\"><use href=\"{}#{}\"/></svg>",
        files::address("icons.svg"),
        Text(name)
    ))
}

/// A word with an icon and a colour.
pub(crate) fn tag(class: &str, icon_name: &str, word: &str) -> Html {
    Html::of(format_args!(
        "<span class=\"tag {}\">{}{}</span>",
        Text(class),
        icon(icon_name),
        Text(word)
    ))
}

/// What was decided about a request.
pub(crate) fn verdict(word: &str) -> Html {
    let shown = match word {
        "allow" => "allowed",
        "annotate" => "annotated",
        "redact" => "redacted",
        "hold" => "held",
        "block" => "blocked",
        other => return tag("", "help", other),
    };
    // What passed is the rule, and stays calm.
    let class = if word == "allow" { "bare" } else { word };
    tag(class, word, shown)
}

/// What a rule does.
pub(crate) fn action(word: &str) -> Html {
    match word {
        "allow" => tag("bare", "allow", "report"),
        "annotate" | "redact" | "hold" | "block" => tag(word, word, word),
        "off" => tag("", "close", "off"),
        other => tag("", "help", other),
    }
}

/// What a rule did.
pub(crate) fn did(word: &str) -> Html {
    match word {
        "allow" => tag("bare", "allow", "reported"),
        other => verdict(other),
    }
}

pub(crate) fn severity(word: &str) -> Html {
    match word {
        "informational" | "low" | "medium" | "high" | "critical" => tag(word, word, word),
        other => tag("", "help", other),
    }
}

pub(crate) fn finding_state(word: &str) -> Html {
    match word {
        "open" => tag("", "open", "open"),
        "acknowledged" => tag("annotate", "person", "in work"),
        "resolved" => tag("resolved", "good", "resolved"),
        other => tag("", "help", other),
    }
}

pub(crate) fn approval_state(word: &str) -> Html {
    match word {
        "pending" => tag("pending", "pending", "waits"),
        "approved" => tag("approved", "good", "approved"),
        "denied" => tag("denied", "block", "denied"),
        "used" => tag("", "good", "used"),
        "expired" => tag("", "close", "ran out"),
        other => tag("", "help", other),
    }
}

pub(crate) fn key_state(word: &str) -> Html {
    match word {
        "active" => tag("good", "good", "active"),
        "revoked" => tag("bad", "block", "revoked"),
        "expired" => tag("note", "pending", "expired"),
        other => tag("", "help", other),
    }
}

/// A time in UTC; pointing at it shows the local one.
pub(crate) fn time(at: &Timestamp) -> Html {
    let text = at.to_string();
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    let (clock, _) = rest.split_at_checked(8).unwrap_or((rest, ""));
    Html::of(format_args!(
        "<time datetime=\"{}\"><span class=\"date\">{} </span>{}<span class=\"ms\">.{:03}</span></time>",
        Text(&text),
        Text(date),
        Text(clock),
        at.millis().rem_euclid(1000)
    ))
}

pub(crate) fn count(n: &u64) -> String {
    charts::number(*n)
}

/// An end user's digest, as short as it tells apart.
pub(crate) fn user(digest: &str) -> String {
    let hex = digest.rsplit(':').next().unwrap_or_default();
    format!("user {}", hex.get(..8).unwrap_or(hex))
}

/// How long something took, with a unit that fits.
pub(crate) fn took(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..10_000_000 => format!("{} ms", charts::number(micros / 1_000)),
        _ => format!("{} s", charts::number(micros / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_known_are_shown_and_do_no_harm() {
        for make in [verdict, action, did, severity, finding_state, approval_state, key_state] {
            let shown = make("<img src=x>");
            assert!(shown.as_str().contains("&lt;img src=x&gt;"), "{shown}");
        }
    }

    #[test]
    fn times_are_shown_to_the_millisecond() {
        let shown = time(&Timestamp::from_millis(1_767_225_600_123));
        assert_eq!(
            shown.as_str(),
            "<time datetime=\"2026-01-01T00:00:00.123Z\"><span class=\"date\">2026-01-01 </span>00:00:00<span class=\"ms\">.123</span></time>"
        );
    }

    #[test]
    fn durations_have_a_unit_that_fits() {
        let shown: Vec<_> = [7, 1_234, 45_600, 12_000_000].into_iter().map(took).collect();
        assert_eq!(shown, ["7 µs", "1.2 ms", "45 ms", "12 s"]);
    }
}
