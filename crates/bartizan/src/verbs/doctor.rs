//! `bartizan doctor`: explains the state of an installation, and changes nothing.

use super::Call;
use crate::{
    config::Effective,
    doctor::{Found, State, look, unusable},
    output::{Outcome, printable},
};

/// Explain the state of an installation; nothing is changed.
///
/// Exit code 1 when something needs attention.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print each value of the configuration that is in force, and where it comes from.
    #[arg(long)]
    effective: bool,
}

pub(super) async fn run(call: &Call<'_>, args: &Args) -> anyhow::Result<Outcome> {
    if args.effective {
        let loaded = call.sources.load()?;
        let row =
            |one: &Effective| vec![one.key.clone(), one.value.to_string(), one.origin.clone()];
        call.out().many(&loaded.effective(), &["key", "value", "from"], row, "")?;
        return Ok(Outcome::Clean);
    }
    let found = match call.sources.load() {
        Ok(loaded) => look(&loaded).await,
        Err(error) => unusable(&error),
    };
    let mut out = call.out();
    if out.is_json() {
        found.iter().try_for_each(|found| out.line(found))?;
        out.flush()?;
    } else {
        out.text(&page(&found))?;
    }
    let bad = found.iter().any(|found| found.state == State::Bad);
    Ok(if bad { Outcome::Findings } else { Outcome::Clean })
}

/// A line for each thing, with what to do below it.
fn page(found: &[Found]) -> String {
    let widest = found.iter().map(|found| found.what.len()).max().unwrap_or(0);
    let mut page = String::new();
    for Found { what, state, found, advice } in found {
        let word = match state {
            State::Good => "ok  ",
            State::Note => "note",
            State::Bad => "BAD ",
        };
        page.push_str(&format!("{word}  {what:widest$}  {}\n", printable(found)));
        if let Some(advice) = advice {
            page.push_str(&format!("      {:widest$}  to do: {advice}\n", ""));
        }
    }
    let bad = found.iter().filter(|found| found.state == State::Bad).count();
    page.push_str(&match bad {
        0 => "\nnothing needs attention\n".to_owned(),
        1 => "\n1 thing needs attention\n".to_owned(),
        several => format!("\n{several} things need attention\n"),
    });
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_what_it_is_about() {
        let found = |what, state, advice: Option<&str>| Found {
            what,
            state,
            found: "so it is".to_owned(),
            advice: advice.map(str::to_owned),
        };
        let page = page(&[
            found("ledger", State::Good, None),
            found("database", State::Bad, Some("mend it")),
        ]);
        expect_test::expect![[r"
            ok    ledger    so it is
            BAD   database  so it is
                            to do: mend it

            1 thing needs attention
        "]]
        .assert_eq(&page);
    }
}
