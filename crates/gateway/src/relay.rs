//! A streamed answer: read event by event, each lane of text screened by a
//! stream of its own, released text written back in the provider's form.
//!
//! Invariant: what is sent is text that the guard released, or an event that it
//! passed, or our own error.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Body, response::Response};
use bartizan_core::{Cx, Verdict};
use bartizan_guard::{Channel, Context, Report, Screened, Screening, TextStream};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    exchange::{End, Exchange},
    gateway::Gateway,
    protocols::{
        self, Arguments, Batch, Envelope, Failure, Joints, Lane, Out, Piece, Said, StreamReader,
        Usage,
    },
    refusals, reply,
    routes::Route,
    sse,
    upstream::Answer,
};

/// Events that wait for a slow client before the upstream is no longer read.
const QUEUE: usize = 64;
/// Lanes of one answer: choices times their parts.
const LANES_MAX: usize = 512;

/// Starts to relay; the answer's head is sent at once, since the decision is durable.
pub(crate) async fn start(
    exchange: Exchange,
    answer: Answer,
    reader: Box<dyn StreamReader>,
    context: Context,
) -> Result<Response, Failure> {
    if !answer.is_event_stream() {
        let target = Some(answer.target.clone());
        return reply::failed(exchange, refusals::upstream_does_not_stream(), target).await;
    }
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE);
    let id = exchange.start.subject.id;
    let verdict = exchange.prompt.verdict;
    let relay = Relay {
        gateway: exchange.start.gateway.clone(),
        route: exchange.start.route.clone(),
        context: Arc::new(context),
        lanes: BTreeMap::new(),
        whole: BTreeMap::new(),
        joints: Joints::default(),
        report: Report::default(),
        delivered: String::new(),
        keeps_text: exchange.start.kept.is_some(),
        said: BTreeMap::new(),
        usage: None,
        reader,
        sender,
    };
    tokio::spawn(relay.run(exchange, answer));
    let body = stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|bytes| bytes.map(Ok::<_, std::convert::Infallible>))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply::with_id(headers, id);
    Ok(reply::with_verdict(response, verdict))
}

struct Relay {
    gateway: Arc<Gateway>,
    route: Arc<Route>,
    context: Arc<Context>,
    lanes: BTreeMap<Lane, (Channel, TextStream)>,
    /// Pieces of JSON that are not whole yet.
    whole: BTreeMap<Lane, String>,
    joints: Joints,
    report: Report,
    delivered: String,
    keeps_text: bool,
    /// What was delivered of each lane, where text is kept; and in which channel.
    said: BTreeMap<Lane, (Channel, String)>,
    usage: Option<Usage>,
    reader: Box<dyn StreamReader>,
    sender: mpsc::Sender<Bytes>,
}

/// Why a relay ended before the stream did.
enum Cut {
    ClientGone,
    /// Policy stopped the answer.
    Stopped(Verdict),
    /// The error is told to the client as an event.
    Failed(Failure),
}

impl From<Failure> for Cut {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Relay {
    async fn run(mut self, exchange: Exchange, mut answer: Answer) {
        let target = Some(answer.target.clone());
        let ended = self.events(&mut answer).await;
        // The upstream is let go before the end is recorded: nobody reads on.
        drop(answer);
        for (_, (_, lane)) in std::mem::take(&mut self.lanes) {
            self.report.merge(lane.into_report());
        }
        let id = exchange.start.subject.id;
        let prompt_bytes = exchange.prompt.coverage.bytes_seen;
        let usage =
            self.usage.unwrap_or_else(|| reply::estimate(prompt_bytes, self.delivered.len()));
        let mut end = End { status: 200, target, usage, ..End::default() };
        let closing = match ended {
            Ok(event) => event,
            Err(Cut::ClientGone) => {
                end.cut = Some("client_gone");
                sse::Event::default()
            }
            Err(Cut::Stopped(verdict)) => {
                self.report.verdict = self.report.verdict.max(verdict);
                let failure = refusals::answer_stopped(&self.report, id);
                end.cut = Some(failure.code);
                self.reader.error(&failure, &id.to_string())
            }
            Err(Cut::Failed(failure)) => {
                refusals::log(&failure, id, &self.route.name, end.target.as_deref());
                end.cut = Some(failure.code);
                self.reader.error(&failure, &id.to_string())
            }
        };
        end.report = Some(self.report);
        end.delivered = self.delivered;
        end.said = self.said.into_iter().map(|(lane, said)| Said::of_lane(&lane, said)).collect();
        // The client learns the end only once it is on record.
        let closing = match exchange.finish(end).await {
            Ok(()) => closing,
            Err(failure) => self.reader.error(&failure, &id.to_string()),
        };
        if closing != sse::Event::default() {
            let _gone = self.sender.send(closing.to_bytes()).await;
        }
    }

    /// Relays until the stream's end; the event that closes it.
    async fn events(&mut self, answer: &mut Answer) -> Result<sse::Event, Cut> {
        let max = self.gateway.live().config.data.answer_bytes_max;
        let mut parser = sse::Parser::default();
        let mut total = 0_usize;
        while let Some(chunk) = self.next(answer).await? {
            total = total.saturating_add(chunk.len());
            if total > max {
                return Err(refusals::upstream_too_long(max).into());
            }
            for event in parser.push(&chunk).map_err(|error| refusals::upstream_garbage(&error))? {
                for piece in
                    self.reader.read(&event).map_err(|error| refusals::upstream_garbage(&error))?
                {
                    if let Some(closing) = self.piece(piece).await? {
                        return Ok(closing);
                    }
                }
            }
        }
        Err(refusals::upstream_cut().into())
    }

    /// The next piece of the answer; a client that leaves ends the wait for it.
    async fn next(&self, answer: &mut Answer) -> Result<Option<Bytes>, Cut> {
        tokio::select! {
            () = self.sender.closed() => Err(Cut::ClientGone),
            piece = answer.next() => piece.map_err(|error| refusals::upstream(&error).into()),
        }
    }

    async fn piece(&mut self, piece: Piece) -> Result<Option<sse::Event>, Cut> {
        match piece {
            Piece::Text { lane, channel, text } => self.text(lane, channel, &text).await?,
            Piece::Whole { lane, text } => self.gather(lane, &text)?,
            Piece::End(lane) => self.end(&lane).await?,
            Piece::Over(group) => {
                let batch = self.joints.over(&group);
                self.batch(batch).await?;
            }
            // It keeps the connection alive while the rest waits.
            Piece::Pass(envelope) if envelope.is_ping() => self.pass(envelope).await?,
            Piece::Pass(envelope) => self.out(Out::Pass(envelope)).await?,
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Done(event) => {
                let open: Vec<Lane> = self.lanes.keys().chain(self.whole.keys()).cloned().collect();
                for lane in open {
                    self.end(&lane).await?;
                }
                let batch = self.joints.finish();
                self.batch(batch).await?;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn text(&mut self, lane: Lane, channel: Channel, text: &str) -> Result<(), Cut> {
        self.bound()?;
        let (gateway, route, context) = (&self.gateway, &self.route, &self.context);
        let (_, stream) = self.lanes.entry(lane.clone()).or_insert_with(|| {
            let location = lane.place();
            (channel, gateway.guard.stream(&route.profile, context.clone(), channel, &location))
        });
        let step = stream.push(&gateway.cx, text);
        if let Some(released) = step.released {
            self.released(lane, channel, released.into_inner(), false).await?;
        }
        step.stop.map_or(Ok(()), |verdict| Err(Cut::Stopped(verdict)))
    }

    fn gather(&mut self, lane: Lane, text: &str) -> Result<(), Cut> {
        self.bound()?;
        // LIMIT: all that is gathered is within `answer_bytes_max`, as what is read is.
        self.whole.entry(lane).or_default().push_str(text);
        Ok(())
    }

    fn bound(&self) -> Result<(), Cut> {
        if self.lanes.len() + self.whole.len() >= LANES_MAX {
            return Err(refusals::upstream_garbage(&"it has too many parts").into());
        }
        Ok(())
    }

    /// Judges what is still held of a lane, and delivers it.
    async fn end(&mut self, lane: &Lane) -> Result<(), Cut> {
        if let Some((channel, mut stream)) = self.lanes.remove(lane) {
            let step = stream.finish(&self.gateway.cx);
            self.report.merge(stream.into_report());
            let released = step.released.map(Screened::into_inner).unwrap_or_default();
            self.released(lane.clone(), channel, released, true).await?;
            if let Some(verdict) = step.stop {
                return Err(Cut::Stopped(verdict));
            }
        }
        if let Some(text) = self.whole.remove(lane) {
            let location = lane.place();
            let arguments = self.screen(Arguments { location, text: Value::String(text) })?;
            let text = arguments.get().text.as_str().unwrap_or_default().to_owned();
            self.out(Out::Whole { lane: lane.clone(), text }).await?;
        }
        Ok(())
    }

    async fn released(
        &mut self,
        lane: Lane,
        channel: Channel,
        text: String,
        is_last: bool,
    ) -> Result<(), Cut> {
        let group = self.reader.group(&lane);
        self.out(Out::Text(protocols::Text { lane, group, channel, text, is_last })).await
    }

    async fn out(&mut self, out: Out) -> Result<(), Cut> {
        let batch = self.joints.push(out);
        self.batch(batch).await
    }

    /// Judges what stands across the ends of lanes, and delivers what may go.
    async fn batch(&mut self, batch: Option<Batch>) -> Result<(), Cut> {
        let Some(batch) = batch else { return Ok(()) };
        let batch = self.screen(batch)?.into_inner();
        for out in self.joints.settle(batch) {
            match out {
                Out::Text(protocols::Text { text, .. }) if text.is_empty() => {}
                Out::Text(protocols::Text { lane, channel, text, .. }) => {
                    self.deliver(&lane, channel, &text).await?;
                }
                Out::Whole { lane, text } => {
                    self.deliver(&lane, Channel::ToolCall, &text).await?;
                }
                Out::Pass(envelope) => self.pass(envelope).await?,
            }
        }
        Ok(())
    }

    async fn pass(&mut self, envelope: Envelope) -> Result<(), Cut> {
        let envelope = self.screen(envelope)?;
        let event = Envelope::event(envelope);
        self.send(&event).await
    }

    fn screen<T: bartizan_guard::Carrier>(&mut self, item: T) -> Result<Screened<T>, Cut> {
        let cx: &Cx = &self.gateway.cx;
        match self.gateway.guard.screen(cx, &self.route.profile, &self.context, item) {
            Screening::Pass(item, report) => {
                self.report.merge(report);
                Ok(item)
            }
            Screening::Held(_, report) | Screening::Stopped(report) => {
                let verdict = report.verdict;
                self.report.merge(report);
                Err(Cut::Stopped(verdict))
            }
        }
    }

    async fn deliver(&mut self, lane: &Lane, channel: Channel, text: &str) -> Result<(), Cut> {
        let event = self.reader.write(lane, text);
        self.delivered.push_str(text);
        if self.keeps_text {
            match self.said.get_mut(lane) {
                Some((_, said)) => said.push_str(text),
                None => drop(self.said.insert(lane.clone(), (channel, text.to_owned()))),
            }
        }
        self.send(&event).await
    }

    async fn send(&self, event: &sse::Event) -> Result<(), Cut> {
        self.sender.send(event.to_bytes()).await.map_err(|_| Cut::ClientGone)
    }
}
