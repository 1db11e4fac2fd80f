//! The gateway's relay without its sockets: events in, events out, all through the
//! guard.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_core::Verdict;
use bartizan_guard::{
    Carrier, Channel, Context, Guard, Profile, Report, Screened, Screening, Step, TextStream,
};
use serde_json::Value;

use super::{call, cx, fixtures};
use crate::{
    protocols::{
        Arguments, Batch, Envelope, Failure, Garbage, Joints, Lane, Out, Piece, StreamReader, Text,
        Usage,
    },
    sse::{Event, Parser},
};

pub(super) struct Relay {
    guard: Guard,
    context: Arc<Context>,
    reader: Box<dyn StreamReader>,
    lanes: BTreeMap<Lane, (Channel, TextStream)>,
    joints: Joints,
    whole: BTreeMap<Lane, String>,
    pub(super) out: Vec<Event>,
    pub(super) usage: Option<Usage>,
    pub(super) is_done: bool,
    /// Policy stopped it.
    pub(super) stopped: Option<Verdict>,
    pub(super) report: Report,
}

impl Relay {
    pub(super) fn new(guard: &Guard, name: &str, wants_usage: bool) -> Self {
        let requests = fixtures::requests();
        let (_, body) = requests.iter().find(|(own, _)| *own == name).expect("a request");
        let mut body = body.clone();
        body["stream"] = true.into();
        if wants_usage {
            body["stream_options"] = serde_json::json!({"include_usage": true});
        }
        let reader = super::protocol(name).stream(&call(name, &body)).expect("it streams");
        Self {
            guard: guard.clone(),
            context: Arc::default(),
            reader,
            lanes: BTreeMap::new(),
            joints: Joints::default(),
            whole: BTreeMap::new(),
            out: Vec::new(),
            usage: None,
            is_done: false,
            stopped: None,
            report: Report::default(),
        }
    }

    pub(super) fn within(mut self, context: &Arc<Context>) -> Self {
        self.context = context.clone();
        self
    }

    /// All the events of a stream, and its end; nothing of it may be stopped.
    pub(super) fn play(self, events: &[Event]) -> Result<Self, Garbage> {
        let played = self.judge(events)?;
        assert_eq!(played.stopped, None, "stopped: {:?}", played.report);
        Ok(played)
    }

    /// The events of a stream until its end, or until policy stops it.
    pub(super) fn judge(mut self, events: &[Event]) -> Result<Self, Garbage> {
        'stream: for event in events {
            if self.is_done {
                break;
            }
            for piece in self.reader.read(event)? {
                self.piece(piece);
                if self.stopped.is_some() {
                    break 'stream;
                }
            }
        }
        for (_, (_, lane)) in std::mem::take(&mut self.lanes) {
            self.report.merge(lane.into_report());
        }
        Ok(self)
    }

    /// How an error is told in the middle of it.
    pub(super) fn error(&self, failure: &Failure) -> Event {
        self.reader.error(failure, "r-1")
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text { lane, channel, text } => {
                let (guard, context) = (&self.guard, &self.context);
                let new = || {
                    let profile = Profile::default();
                    (channel, guard.stream(&profile, context.clone(), channel, &lane.field))
                };
                let (_, stream) = self.lanes.entry(lane.clone()).or_insert_with(new);
                let step = stream.push(&cx(), &text);
                self.deliver(lane, channel, step, false);
            }
            Piece::Whole { lane, text } => self.whole.entry(lane).or_default().push_str(&text),
            Piece::End(lane) => self.end(&lane),
            Piece::Over(group) => {
                let batch = self.joints.over(&group);
                self.batch(batch);
            }
            Piece::Pass(envelope) if envelope.is_ping() => self.pass(envelope),
            Piece::Pass(envelope) => self.push(Out::Pass(envelope)),
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Done(event) => {
                let open: Vec<Lane> = self.lanes.keys().chain(self.whole.keys()).cloned().collect();
                open.iter().for_each(|lane| self.end(lane));
                if self.stopped.is_none() {
                    let batch = self.joints.finish();
                    self.batch(batch);
                }
                if self.stopped.is_some() {
                    return;
                }
                if event != Event::default() {
                    self.out.push(event);
                }
                self.is_done = true;
            }
        }
    }

    fn end(&mut self, lane: &Lane) {
        if self.stopped.is_some() {
            return;
        }
        if let Some((channel, mut stream)) = self.lanes.remove(lane) {
            let step = stream.finish(&cx());
            self.report.merge(stream.into_report());
            self.deliver(lane.clone(), channel, step, true);
        }
        if let Some(text) = self.whole.remove(lane) {
            let text = Value::String(text);
            let Some(arguments) = self.screen(Arguments { location: lane.field.clone(), text })
            else {
                return;
            };
            let text = arguments.get().text.as_str().unwrap_or_default().to_owned();
            self.push(Out::Whole { lane: lane.clone(), text });
        }
    }

    fn deliver(&mut self, lane: Lane, channel: Channel, step: Step, is_last: bool) {
        let text = step.released.map(Screened::into_inner).unwrap_or_default();
        if is_last || !text.is_empty() {
            let group = self.reader.group(&lane);
            self.push(Out::Text(Text { lane, group, channel, text, is_last }));
        }
        self.stopped = self.stopped.or(step.stop);
    }

    fn push(&mut self, out: Out) {
        let batch = self.joints.push(out);
        self.batch(batch);
    }

    fn batch(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch.and_then(|batch| self.screen(batch)) else { return };
        for out in self.joints.settle(batch.into_inner()) {
            match out {
                Out::Text(Text { text, .. }) if text.is_empty() => {}
                Out::Text(Text { lane, text, .. }) | Out::Whole { lane, text } => {
                    let event = self.reader.write(&lane, &text);
                    self.out.push(event);
                }
                Out::Pass(envelope) if self.stopped.is_none() => self.pass(envelope),
                Out::Pass(_) => {}
            }
        }
    }

    fn pass(&mut self, envelope: Envelope) {
        let event = self.screen(envelope).map(Envelope::event);
        self.out.extend(event);
    }

    fn screen<T: Carrier>(&mut self, item: T) -> Option<Screened<T>> {
        match self.guard.screen(&cx(), &Profile::default(), &self.context, item) {
            Screening::Pass(item, report) => {
                self.report.merge(report);
                Some(item)
            }
            Screening::Held(_, report) | Screening::Stopped(report) => {
                self.stopped = Some(report.verdict);
                self.report.merge(report);
                None
            }
        }
    }
}

/// The bytes of a stream, as a provider sends it.
pub(super) fn wire(name: &str, events: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let is_named = ["openai-responses", "anthropic-messages"].contains(&name);
        let named = if is_named { event["type"].as_str().unwrap_or_default() } else { "" };
        let event = Event { name: named.to_owned(), data: event.to_string() };
        out.extend_from_slice(&event.to_bytes());
    }
    if name.starts_with("openai-c") {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
    out
}

pub(super) fn events(name: &str, events: &[Value]) -> Vec<Event> {
    Parser::default().push(&wire(name, events)).expect("it is a stream of events")
}

/// The objects of the events that came out.
pub(super) fn bodies(out: &[Event]) -> Vec<Value> {
    let objects = out.iter().filter(|event| event.data != "[DONE]");
    objects.map(|event| serde_json::from_str(&event.data).expect("JSON goes out")).collect()
}
