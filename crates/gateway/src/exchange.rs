//! What is known of a request once it was judged, and how its end is recorded:
//! limits settled, ledger entry, record, findings, event, metrics.

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_core::{Id, Severity, Verdict};
use bartizan_guard::{Judged, Report};
use bartizan_ledger::Pending;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    budgets::Hold,
    decisions::{self, DECISION, FINDING, FindingText, Judgement, Outcome, Subject},
    gateway::Gateway,
    keys::Key,
    protocols::{Call, Failure, Protocol, Said, Usage},
    refusals, reply,
    routes::Route,
    traces::{Span, Trace},
};

/// A request that is about to be decided.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) at: Instant,
    pub(crate) key: Arc<Key>,
    pub(crate) route: Arc<Route>,
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) subject: Subject,
    pub(crate) budget: Hold,
    /// What no inspector sees and the route lets through.
    pub(crate) opaque: Vec<String>,
    /// The request's text, where it is kept.
    pub(crate) kept: Option<Value>,
    /// The same as the rules left it, where they took something out of it.
    pub(crate) sent: Option<Value>,
    pub(crate) trace: Trace,
    /// The approval that it waits for, or was let through by.
    pub(crate) approval: Option<Id>,
    /// When its key, policy and limits were done with, and the guard with its prompt.
    pub(crate) layers: [Duration; 2],
}

impl Start {
    /// Keeps what a request became by its inspection, where its text is kept at all.
    pub(crate) fn keep_sent(&mut self, report: &Report, call: &Call) {
        if self.kept.is_some() && report.redactions > 0 {
            self.sent = Some(call.body().clone());
        }
    }
}

/// A request that was decided. Its end is always recorded: where this is dropped before
/// [`Exchange::finish`], the client has left.
#[derive(Debug)]
pub(crate) struct Exchange(Option<Decided>);

#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) start: Start,
    pub(crate) prompt: Report,
    entry: Entry,
}

/// The decision's entry in the ledger.
#[derive(Debug)]
enum Entry {
    /// It is being written.
    Pending(Pending),
    /// It is durable, and stands there.
    At(u64),
}

impl Entry {
    async fn durable(self) -> Result<u64, Failure> {
        match self {
            Self::At(index) => Ok(index),
            Self::Pending(pending) => durable(pending).await,
        }
    }
}

/// Waits until an entry is on the disk, and says where it stands.
pub(crate) async fn durable(pending: Pending) -> Result<u64, Failure> {
    let sealed = pending.await;
    let sealed =
        sealed.map_err(|error| refusals::internal("the ledger cannot be written", &error))?;
    Ok(sealed.index())
}

/// How an exchange ended.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) status: u16,
    pub(crate) cut: Option<&'static str>,
    pub(crate) target: Option<String>,
    pub(crate) report: Option<Report>,
    /// The text that was delivered.
    pub(crate) delivered: String,
    /// The same part by part, for people.
    pub(crate) said: Vec<Said>,
    pub(crate) usage: Usage,
    /// What was used is not known: what was reserved stays used.
    pub(crate) is_unsettled: bool,
}

/// What is recorded as the status where the client left before there was one.
const CLIENT_GONE: u16 = 499;

impl Exchange {
    /// `pending` is the decision's entry.
    pub(crate) fn new(start: Start, prompt: Report, pending: Pending) -> Self {
        Self(Some(Decided { start, prompt, entry: Entry::Pending(pending) }))
    }

    /// The exchange once its decision is on the disk: what is delivered piece by piece waits
    /// for that. Where it cannot be written, that is the end.
    pub(crate) async fn on_record(mut self) -> Result<Self, Failure> {
        let Some(decided) = &mut self.0 else { return Ok(self) };
        let Entry::Pending(pending) = &mut decided.entry else { return Ok(self) };
        let sealed = pending.await;
        match sealed {
            Ok(sealed) => {
                decided.entry = Entry::At(sealed.index());
                Ok(self)
            }
            Err(error) => {
                let failure = refusals::internal("the ledger cannot be written", &error);
                let (status, cut) = (failure.status, Some(failure.code));
                self.finish(End { status, cut, ..End::default() }).await?;
                Err(failure)
            }
        }
    }

    /// Records the end. The entries of the decision and of the end are durable when this
    /// returns; they are written also when the client leaves meanwhile.
    ///
    /// # Errors
    /// When the ledger cannot take an entry: then what is left must not be delivered.
    pub(crate) async fn finish(mut self, end: End) -> Result<(), Failure> {
        let Some(decided) = self.0.take() else { return Ok(()) };
        let recorded = tokio::spawn(decided.finish(end)).await;
        recorded.unwrap_or_else(|error| Err(refusals::internal("the end was not recorded", &error)))
    }
}

impl Deref for Exchange {
    type Target = Decided;

    #[expect(
        clippy::expect_used,
        reason = "only `finish` and `drop` take it, and both are the last"
    )]
    fn deref(&self) -> &Decided {
        self.0.as_ref().expect("INVARIANT: an exchange is there until it ends")
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (Some(decided), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        let cut = if std::thread::panicking() { "failed" } else { "client_gone" };
        let usage = reply::estimate(decided.prompt.coverage.bytes_seen, 0);
        let end = End {
            status: CLIENT_GONE,
            cut: Some(cut),
            usage,
            is_unsettled: true,
            ..End::default()
        };
        runtime.spawn(async move {
            if let Err(failure) = decided.finish(end).await {
                tracing::error!(code = failure.code, "the end of a request was not recorded");
            }
        });
    }
}

impl Decided {
    async fn finish(self, end: End) -> Result<(), Failure> {
        let Self { start, prompt, entry } = self;
        let Start {
            gateway,
            at,
            key,
            route,
            protocol,
            subject,
            budget,
            opaque: _,
            kept,
            sent,
            trace,
            approval,
            layers,
        } = start;
        if !end.is_unsettled {
            budget.settle(&*gateway.store.limits(), end.usage).await;
        }
        let output = match end.delivered.is_empty() {
            true => None,
            false => Some(digest(&gateway, &key, "output", end.delivered.as_bytes()).await?),
        };
        let outcome = Outcome {
            status: end.status,
            cut: end.cut,
            target: end.target,
            judgement: end.report.as_ref().map(Judgement::of),
            output,
            tokens_in: end.usage.input,
            tokens_out: end.usage.output,
        };
        let ended = gateway.append(decisions::ended(&subject, &outcome))?;
        let entry = entry.durable().await?;
        let judgement = Judgement::of(&prompt);
        let verdict =
            judgement.verdict.max(outcome.judgement.as_ref().map_or(Verdict::Allow, |j| j.verdict));
        let took = at.elapsed();
        let metrics = &gateway.metrics;
        metrics.request(&route.name, protocol.meta().name, verdict, end.status, took);
        metrics.tokens(&route.name, end.usage.input.saturating_add(end.usage.output));
        let meta = protocol.meta();
        gateway.exporter.send(Span {
            trace,
            start: subject.time,
            end: gateway.cx.now(),
            operation: meta.operation,
            provider: meta.provider.as_str(),
            model: subject.model.clone(),
            status: end.status,
            tokens_in: end.usage.input,
            tokens_out: end.usage.output,
            route: route.name.clone(),
            verdict: verdict.as_str(),
            request: subject.id.to_string(),
        });
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let times = decisions::Layers::of(layers, took);
        let mut meta = decisions::meta(&subject, &judgement, &outcome, Some(entry), took_ms);
        meta.insert("layers".to_owned(), json!(times));
        meta.insert("approval".to_owned(), json!(approval));
        let text = kept.map(|request| {
            let mut text = decisions::object(
                json!({"request": request, "delivered": end.delivered, "answer": end.said}),
            );
            text.extend(sent.map(|sent| ("sent".to_owned(), sent)));
            Value::Object(text)
        });
        let findings = collect(&prompt, end.report.as_ref());
        for (judged, direction) in &findings {
            metrics.finding(&judged.code, judged.mode, direction);
        }
        durable(ended).await?;
        tokio::spawn(rest(gateway, key, subject, meta, text, findings));
        Ok(())
    }
}

/// A keyed digest, as the ledger has it.
pub(crate) async fn digest(
    gateway: &Gateway,
    key: &Key,
    label: &str,
    bytes: &[u8],
) -> Result<String, Failure> {
    let digest = gateway.store.digest(&key.tenant, label, bytes).await;
    digest.map_err(|error| refusals::internal("the tenant's key cannot be read", &error))
}

fn collect(prompt: &Report, output: Option<&Report>) -> Vec<(Judged, &'static str)> {
    let inbound = prompt.findings.iter().map(|judged| (judged.clone(), "in"));
    let outbound = output
        .into_iter()
        .flat_map(|report| &report.findings)
        .map(|judged| (judged.clone(), "out"));
    inbound.chain(outbound).collect()
}

/// The records for people. The ledger already has what must not be lost.
async fn rest(
    gateway: Arc<Gateway>,
    key: Arc<Key>,
    subject: Subject,
    meta: serde_json::Map<String, Value>,
    text: Option<Value>,
    findings: Vec<(Judged, &'static str)>,
) {
    let severity = findings.iter().map(|(judged, _)| judged.finding.severity).max();
    let severity = severity.unwrap_or(Severity::Informational);
    let key_id = subject.key.to_string();
    let about = decisions::About {
        request: subject.id,
        protocol: subject.protocol,
        route: &subject.route,
        key: &key_id,
    };
    let event = decisions::event(&gateway.cx, key.tenant.clone(), &meta, &about, severity);
    let events = [event];
    let put = gateway.store.put_with_events(
        &key.tenant,
        &DECISION,
        subject.id,
        meta,
        text.as_ref(),
        &events,
    );
    if let Err(error) = put.await {
        tracing::error!(%error, request = %subject.id, "the decision's record could not be stored; it is made again from the ledger");
        gateway.missed();
    } else {
        gateway.ring();
    }
    for (judged, direction) in findings {
        let meta = decisions::finding_meta(&subject, &judged, direction);
        let evidence = judged.finding.evidence.clone();
        let excerpts = json!(FindingText { evidence, notes: Vec::new() });
        let id: Id = judged.finding.id;
        if let Err(error) =
            gateway.store.put(&key.tenant, &FINDING, id, meta, Some(&excerpts)).await
        {
            tracing::error!(%error, finding = %id, "a finding could not be stored");
        }
    }
}
