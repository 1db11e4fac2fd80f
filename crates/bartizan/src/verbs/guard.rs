//! `bartizan guard`: the inspectors in a shell.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    num::NonZero,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context as _;
use bartizan_core::{Cx, Verdict};
use bartizan_guard::{
    Channel, Context, Guard, Profile, Report,
    classifier::{Example, Model, train},
    measure::{Interval, Measures, Sample, measure},
};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, cell};
use crate::{
    output::Outcome,
    trouble::{Hint, trouble},
};

/// LIMIT: the longest text or line that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// LIMIT: a file of a model, in bytes.
const MODEL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lines, and bytes of them, that are inspected at a time.
const BATCH_LINES: usize = 512;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Inspect text as the gateway does, and list the rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Inspect a text, standard input, or a file of JSON Lines.
    ///
    /// Exit code 1 when a verdict was as strict as `--fail-on`, or a line could not be judged.
    Check(Check),
    /// Measure how well labelled texts are told apart: recall, false alarms, the area under the
    /// curve, each family by itself.
    Eval(Eval),
    /// Train a model of the classifier's fast tier on labelled texts.
    Train(Train),
    /// List the rules.
    Rules,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The text; `-` or nothing reads standard input.
    text: Option<String>,
    /// Whose words it is: system, user, content, `tool_result`, `tool_description`,
    /// `tool_call`, assistant, output or reasoning.
    #[arg(long, default_value = "user", value_parser = channel)]
    channel: Channel,
    /// A file of JSON Lines with `id`, `text` and optional `channel`; `-` reads standard
    /// input. A line with `id`, `verdict`, `score` and `findings` is written for each, in order.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    jsonl: Option<PathBuf>,
    /// End with exit code 1 when a verdict is this strict or stricter.
    #[arg(long, value_name = "VERDICT", value_enum, default_value_t)]
    fail_on: FailOn,
    /// Under the rules of this route of the configuration.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    /// A file of JSON Lines with `text`, `label` (1 attack, 0 honest), and optional `channel` and
    /// `family`; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    jsonl: PathBuf,
    /// Under the rules of this route of the configuration.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Ask this model, too, which `guard train` wrote.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// From what the resamples of the intervals are drawn.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// Files of JSON Lines with `text`, `label` (1 attack, 0 honest), and optional `channel`,
    /// `family` and `template`. Texts of one template are all learned from or all kept for
    /// measuring; one without is a template of its own.
    #[arg(long, value_name = "FILE", required = true)]
    jsonl: Vec<PathBuf>,
    /// Where to write the model.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Weights of the model, as a power of two: a byte each.
    #[arg(long, value_name = "BITS", default_value_t = 18, value_parser = clap::value_parser!(u8).range(8..=22))]
    bits: u8,
    /// How much mistakes cost beside large weights.
    #[arg(long, value_name = "COST", default_value_t = 1.0)]
    cost: f64,
    /// For the order of texts, and which templates are kept.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

fn channel(text: &str) -> Result<Channel, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

/// From which verdict on the exit code is 1.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum FailOn {
    Annotate,
    Redact,
    #[default]
    Hold,
    Block,
    /// The exit code says only whether every text was judged.
    Never,
}

/// One text of many.
#[derive(Debug, Deserialize)]
struct Line {
    id: Value,
    text: String,
    channel: Option<Channel>,
}

/// One labelled text of many; what else a line says is passed over.
#[derive(Debug, Deserialize)]
struct Labelled {
    text: String,
    label: u8,
    channel: Option<Channel>,
    family: Option<String>,
    template: Option<String>,
}

struct Inspector {
    guard: Guard,
    profile: Profile,
    context: Context,
    model: Option<Model>,
}

pub(super) fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Rules => rules(call),
        Verb::Eval(eval) => {
            let mut inspector = inspector(call, eval.route.as_deref())?;
            inspector.model = eval.model.as_deref().map(model).transpose()?;
            evaluate(call, &inspector, &eval)
        }
        Verb::Train(train) => learn(call, &train),
        Verb::Check(check) => {
            let inspector = inspector(call, check.route.as_deref())?;
            match &check.jsonl {
                Some(path) => lines(call, &inspector, &check, path),
                None => one(call, &inspector, &check),
            }
        }
    }
}

fn inspector(call: &Call<'_>, route: Option<&str>) -> anyhow::Result<Inspector> {
    let mut profile = Profile::default();
    let mut context = Context::default();
    if let Some(name) = route {
        let config = call.config()?;
        let names = || config.routes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let route = config.routes.get(name).ok_or_else(|| {
            trouble(
                format!("there is no route `{name}`"),
                format!("the configuration has: {}", names()),
            )
        })?;
        for (code, rule) in &route.rules {
            profile.set(code, rule.mode, rule.action)?;
        }
        context = Context::new(&[], route.canaries.clone(), route.link_hosts.clone());
    }
    Ok(Inspector { guard: Guard::new(), profile, context, model: None })
}

fn model(path: &Path) -> anyhow::Result<Model> {
    let cannot = || format!("cannot use the model `{}`", path.display());
    let hint = "`--model` names a file that `bartizan guard train` wrote";
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(cannot).hint(hint)?;
    file.take(MODEL_BYTES_MAX).read_to_end(&mut bytes).with_context(cannot).hint(hint)?;
    Model::read(&bytes).with_context(cannot).hint(hint)
}

impl Inspector {
    fn inspect(&self, cx: &Cx, channel: Channel, text: &str) -> Report {
        self.guard.inspect(cx, &self.profile, &self.context, channel, text)
    }
}

fn one(call: &Call<'_>, inspector: &Inspector, check: &Check) -> anyhow::Result<Outcome> {
    let text = match check.text.as_deref() {
        Some(text) if text != "-" => text.to_owned(),
        _ => standard_input()?,
    };
    let report = inspector.inspect(call.cx, check.channel, &text);
    let result = json!({
        "verdict": report.verdict, "score": report.score(), "findings": report.findings, "redactions": report.redactions, "coverage": report.coverage,
    });
    call.out().one(&result, |result| {
        let mut lines = vec![format!("verdict: {}", cell(result, "/verdict"))];
        for finding in result.get("findings").and_then(Value::as_array).into_iter().flatten() {
            let evidence = finding.pointer("/finding/evidence/0").cloned().unwrap_or_default();
            lines.push(format!(
                "  {} {} ({}), bytes {} to {} as {}: {}",
                cell(finding, "/code"),
                cell(finding, "/finding/title"),
                cell(finding, "/action"),
                cell(&evidence, "/span/start"),
                cell(&evidence, "/span/end"),
                cell(&evidence, "/view"),
                crate::output::printable(&cell(&evidence, "/excerpt")),
            ));
        }
        lines.join("\n")
    })?;
    Ok(if check.fails(report.verdict) { Outcome::Findings } else { Outcome::Clean })
}

impl Check {
    fn fails(&self, verdict: Verdict) -> bool {
        match self.fail_on {
            FailOn::Annotate => verdict >= Verdict::Annotate,
            FailOn::Redact => verdict >= Verdict::Redact,
            FailOn::Hold => verdict >= Verdict::Hold,
            FailOn::Block => verdict >= Verdict::Block,
            FailOn::Never => false,
        }
    }
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(TEXT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .context("cannot read standard input")
        .hint("send UTF-8 text")?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(trouble(
            format!("the text is longer than {TEXT_BYTES_MAX} bytes"),
            "inspect it in parts",
        ));
    }
    Ok(text)
}

fn lines(
    call: &Call<'_>,
    inspector: &Inspector,
    check: &Check,
    path: &Path,
) -> anyhow::Result<Outcome> {
    let mut batches = Batches::of(path)?;
    let mut out = call.out();
    let mut worst = Outcome::Clean;
    loop {
        let batch = batches.next()?;
        if batch.is_empty() {
            out.flush()?;
            return Ok(worst);
        }
        for (verdict, result) in in_order(&batch, |line| inspector.line(call.cx, check, line)) {
            if verdict.is_none_or(|verdict| check.fails(verdict)) {
                worst = Outcome::Findings;
            }
            out.line(&result)?;
        }
    }
}

/// A line of the file, with its number from 1.
type Numbered = (u64, Vec<u8>);

/// Lines, some at a time, so that every processor has work.
struct Batches<R> {
    reader: BufReader<R>,
    number: u64,
}

impl Batches<Box<dyn Read>> {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            let file = std::fs::File::open(path)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .hint("`--jsonl` names a file of JSON Lines")?;
            Box::new(file)
        };
        Ok(Self { reader: BufReader::new(source), number: 0 })
    }
}

impl<R: Read> Batches<R> {
    /// The next lines that are not empty; none at the end.
    fn next(&mut self) -> anyhow::Result<Vec<Numbered>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
            let mut line = Vec::new();
            let limit = TEXT_BYTES_MAX + 1;
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            self.number += 1;
            if line.len() as u64 == limit {
                let number = self.number;
                return Err(trouble(
                    format!("line {number} is longer than {TEXT_BYTES_MAX} bytes"),
                    "inspect its text in parts",
                ));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                bytes += line.len();
                batch.push((self.number, line));
            }
        }
        Ok(batch)
    }
}

/// Does the work on every processor, and gives the results in the order of the items.
fn in_order<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return done };
            done.push((place, work(item)));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let mut results = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| match handle.join()
        {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

impl Inspector {
    /// The verdict on a line, and what is printed; no verdict where it cannot be judged.
    fn line(&self, cx: &Cx, check: &Check, (number, line): &Numbered) -> (Option<Verdict>, Value) {
        let Line { id, text, channel } = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                let problem = format!(
                    "line {number} cannot be read: {error}; expected `id`, `text` and optional `channel`"
                );
                return (None, json!({"line": number, "error": problem}));
            }
        };
        let report = self.inspect(cx, channel.unwrap_or(check.channel), &text);
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|judged| {
                let evidence = judged.finding.evidence.first();
                let (span, view) = (evidence.map(|e| e.span), evidence.map(|e| e.view.as_str()));
                json!({"code": judged.code, "span": span, "view": view})
            })
            .collect();
        let result = json!({
            "id": id, "verdict": report.verdict, "score": report.score(), "findings": findings,
        });
        (Some(report.verdict), result)
    }
}

/// Texts of one family, and how well they are told apart.
#[derive(Debug, Serialize)]
struct Family {
    family: String,
    #[serde(flatten)]
    measures: Measures,
}

/// What `guard eval` prints.
#[derive(Debug, Serialize)]
struct Evaluated {
    #[serde(flatten)]
    all: Measures,
    families: Vec<Family>,
}

fn evaluate(call: &Call<'_>, inspector: &Inspector, eval: &Eval) -> anyhow::Result<Outcome> {
    let mut batches = Batches::of(&eval.jsonl)?;
    let mut all = Vec::new();
    let mut families: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    loop {
        let batch = batches.next()?;
        if batch.is_empty() {
            break;
        }
        for judged in in_order(&batch, |line| inspector.judged(call.cx, line)) {
            let (family, sample) = judged?;
            all.push(sample);
            families.entry(family).or_default().push(sample);
        }
    }
    let family = |(family, samples): (String, Vec<Sample>)| Family {
        family,
        measures: measure(&samples, eval.seed),
    };
    let evaluated = Evaluated {
        all: measure(&all, eval.seed),
        families: families.into_iter().map(family).collect(),
    };
    call.out().one(&evaluated, in_words)?;
    Ok(Outcome::Clean)
}

fn in_words(evaluated: &Evaluated) -> String {
    let rows: Vec<Vec<String>> = evaluated
        .families
        .iter()
        .map(|Family { family, measures }| {
            vec![
                crate::output::printable(family),
                measures.attacks.to_string(),
                measures.honest.to_string(),
                part(measures.recall),
                part(measures.false_positives),
                measures.auc.map_or_else(String::new, |auc| format!("{:.4}", auc.value)),
            ]
        })
        .collect();
    let heads = ["family", "attacks", "honest", "recall", "false alarms", "area"];
    format!("{}\n{}", figures(&evaluated.all), crate::output::table(&heads, &rows))
}

fn part(part: Option<f64>) -> String {
    part.map_or_else(String::new, |part| format!("{part:.4}"))
}

/// How well all were told apart, in words.
fn figures(all: &Measures) -> String {
    let span = |one: &Interval| format!("{:.4} ({:.4} to {:.4})", one.value, one.low, one.high);
    let mut lines = vec![
        format!("{} attacks, {} honest texts", all.attacks, all.honest),
        format!(
            "at the threshold that ships: recall {}, false alarms {}",
            part(all.recall),
            part(all.false_positives)
        ),
    ];
    lines.extend(all.auc.iter().map(|auc| format!("area under the curve: {}", span(auc))));
    lines.extend(all.recall_at.iter().map(|at| {
        let percent = at.false_positives * 100.0;
        format!("recall at {percent} % false alarms: {}", span(&at.recall))
    }));
    lines.join("\n") + "\n"
}

/// Reads a labelled line.
fn labelled((number, line): &Numbered) -> anyhow::Result<Labelled> {
    let wrong = |what: String| {
        let hint = "each line has `text` and `label` (1 attack, 0 honest), and may have `channel` and `family`";
        trouble(format!("line {number} cannot be used: {what}"), hint)
    };
    let read: Labelled = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    match read.label {
        0 | 1 => Ok(read),
        other => Err(wrong(format!("its label is {other}"))),
    }
}

impl Inspector {
    /// What a labelled line is, and what was said of it.
    fn judged(&self, cx: &Cx, line: &Numbered) -> anyhow::Result<(String, Sample)> {
        let Labelled { text, label, channel, family, .. } = labelled(line)?;
        let channel = channel.unwrap_or(Channel::User);
        let report = self.inspect(cx, channel, &text);
        let asked = self.model.as_ref().and_then(|model| {
            let probability = model.score(&text, channel)?.probability;
            Some((probability, probability >= model.threshold(channel)))
        });
        let (probability, is_over) = asked.unwrap_or_default();
        let sample = Sample {
            is_attack: label == 1,
            score: report.score().max(probability),
            is_flagged: report.is_attack() || is_over,
        };
        Ok((family.unwrap_or_default(), sample))
    }
}

/// What `guard train` prints.
#[derive(Debug, Serialize)]
struct Learned {
    learned: usize,
    kept: usize,
    bytes: usize,
    /// Of the templates that were kept from training.
    #[serde(flatten)]
    measures: Measures,
}

fn learn(call: &Call<'_>, asked: &Train) -> anyhow::Result<Outcome> {
    let mut examples = Vec::new();
    for path in &asked.jsonl {
        let mut batches = Batches::of(path)?;
        loop {
            let batch = batches.next()?;
            if batch.is_empty() {
                break;
            }
            for numbered in &batch {
                let Labelled { text, label, channel, family, template } = labelled(numbered)?;
                let own = || format!("{}:{}", path.display(), numbered.0);
                examples.push(Example {
                    text,
                    channel: channel.unwrap_or(Channel::User),
                    is_attack: label == 1,
                    template: template.unwrap_or_else(own),
                    family: family.unwrap_or_default(),
                });
            }
        }
    }
    let trained = train(&examples, asked.bits, asked.cost, asked.seed)
        .context("nothing was learned")
        .hint("give some hundred texts of both labels, of many templates")?;
    let bytes = trained.model.write();
    std::fs::write(&asked.out, &bytes)
        .with_context(|| format!("cannot write the model to `{}`", asked.out.display()))
        .hint("`--out` names a file in a directory that is there")?;
    let samples: Vec<Sample> = trained
        .held_out
        .iter()
        .map(|one| Sample {
            is_attack: one.is_attack,
            score: one.probability,
            is_flagged: one.probability >= trained.model.threshold(one.channel),
        })
        .collect();
    let learned = Learned {
        learned: trained.learned,
        kept: trained.kept,
        bytes: bytes.len(),
        measures: measure(&samples, asked.seed),
    };
    call.out().one(&learned, |told| {
        format!(
            "learned from {} texts; {} of other templates were kept, and on those:\n{}",
            told.learned,
            told.kept,
            figures(&told.measures)
        )
    })?;
    Ok(Outcome::Clean)
}

fn rules(call: &Call<'_>) -> anyhow::Result<Outcome> {
    let guard = Guard::new();
    let rows: Vec<Value> = guard.rules().iter().map(|rule| json!({
        "code": rule.meta.code, "name": rule.meta.name, "severity": rule.meta.severity, "action": rule.action,
        "needs": rule.needs, "channels": rule.channels, "references": rule.meta.refs, "since": rule.meta.since, "help": rule.meta.help,
    })).collect();
    let row = |rule: &Value| {
        vec![
            cell(rule, "/code"),
            cell(rule, "/name"),
            cell(rule, "/severity"),
            cell(rule, "/action"),
            cell(rule, "/references"),
        ]
    };
    call.out().many(&rows, &["code", "name", "severity", "action", "references"], row, "")?;
    Ok(Outcome::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_many_processors_keeps_its_order() {
        let items: Vec<u64> = (0..5000).collect();
        let squares = in_order(&items, |n| n * n);
        assert!(squares.iter().zip(&items).all(|(square, n)| *square == n * n));
        assert_eq!(in_order(&[], |n: &u64| *n), Vec::<u64>::new());
    }

    #[test]
    fn batches_hold_every_line_once_with_its_number() {
        let text: String = (1..=2000)
            .map(|n| if n % 7 == 0 { "\n".to_owned() } else { format!("{n}\n") })
            .collect();
        let mut batches = Batches { reader: BufReader::new(text.as_bytes()), number: 0 };
        let mut seen = Vec::new();
        loop {
            let batch = batches.next().expect("reads");
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= BATCH_LINES);
            seen.extend(batch);
        }
        assert!(
            seen.iter().all(|(number, line)| line.trim_ascii() == number.to_string().as_bytes())
        );
        assert_eq!(seen.len(), (1..=2000).filter(|n| n % 7 != 0).count());
    }
}
