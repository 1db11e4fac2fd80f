//! Every rule of the guard, with what it finds and what it leaves alone.

use std::fmt::Write;

use bartizan_core::Example;
use bartizan_guard::{Guard, Rule};

use super::GENERATED;

pub(super) fn page() -> anyhow::Result<String> {
    let guard = Guard::new();
    let mut page = format!(
        "{GENERATED}# Rules\n\nWhat the inspectors look for. A route changes a rule's mode (`enforce`, `monitor`, `off`) and its action under `[routes.NAME.rules.CODE]`. \
         A rule needs as much of a text as its column says before it can speak; a stream is held back for it just so long.\n\n\
         | code | rule | severity | action | needs |\n|---|---|---|---|---|\n"
    );
    for rule in guard.rules() {
        let needs = serde_json::to_value(rule.needs)?;
        writeln!(
            page,
            "| [{code}](#{anchor}) | {name} | {} | `{}` | {} |",
            rule.meta.severity.as_str(),
            rule.action.as_str(),
            needs.as_str().unwrap_or_default(),
            code = rule.meta.code,
            anchor = anchor(rule),
            name = rule.meta.name.replace('-', " "),
        )?;
    }
    for rule in guard.rules() {
        describe(rule, &mut page)?;
    }
    Ok(page)
}

fn anchor(rule: &Rule) -> String {
    format!("{}-{}", rule.meta.code.to_lowercase(), rule.meta.name)
}

fn describe(rule: &Rule, page: &mut String) -> anyhow::Result<()> {
    let meta = &rule.meta;
    let quoted = |names: Vec<String>| names.join(", ");
    let references = quoted(meta.refs.iter().map(|text| format!("`{text}`")).collect());
    let channels = rule.channels.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let channels =
        quoted(channels.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect());
    let views = if rule.views { "the text and its decoded views" } else { "the text as it is" };
    write!(
        page,
        "\n## {} {}\n\n{}.\n\n- Reads {views}, in: {channels}.\n- References: {references}.\n- Since {}.\n",
        meta.code,
        meta.name.replace('-', " "),
        sentence(meta.help),
        meta.since,
    )?;
    for example in meta.examples {
        let (word, text) = match example {
            Example::Hit(text) => ("Found", text),
            Example::Miss(text) => ("Left alone", text),
        };
        // Hidden characters are shown as their codes.
        let shown = text.escape_debug().to_string().replace('`', "'");
        writeln!(page, "- {word}: `{shown}`")?;
    }
    Ok(())
}

/// The advice, begun with a capital and left without its last stop.
fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}
