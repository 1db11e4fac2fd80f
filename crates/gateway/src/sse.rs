//! Server-sent events: read from any chunking, written back.
//!
//! Source: HTML Living Standard, section 9.2.6 (interpreting an event stream).

/// The longest line or event, in bytes. A provider's events are a few kilobytes; the
/// last one of a long answer may repeat all of it.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty where there was none.
    pub name: String,
    /// The `data` lines, joined by newlines.
    pub data: String,
}

/// The stream is no event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    #[error("an event is not UTF-8")]
    NotUtf8,
}

impl Event {
    pub fn data(data: String) -> Self {
        Self { name: String::new(), data }
    }

    /// The event as it goes over the wire. Nothing in it ends a line but we: a name
    /// is one line, and every line of the data is a `data` field of its own.
    pub fn to_bytes(&self) -> bytes::Bytes {
        let mut out = String::with_capacity(self.data.len() + self.name.len() + 24);
        let name: String = self.name.chars().filter(|c| !['\n', '\r'].contains(c)).collect();
        if !name.is_empty() {
            out.push_str("event: ");
            out.push_str(&name);
            out.push('\n');
        }
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            out.push_str("data: ");
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
        out.into()
    }
}

/// Reads events from chunks.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// A carriage return ended the last line: a newline right after belongs to it.
    after_return: bool,
    started: bool,
}

impl Parser {
    /// Takes a chunk; gives the events that it completes.
    ///
    /// # Errors
    /// When an event is too long or no text.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, Problem> {
        let mut events = Vec::new();
        for byte in chunk {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    self.end_line(&mut events)?;
                }
                byte if self.line.len() + self.event.data.len() < EVENT_BYTES_MAX => {
                    self.line.push(*byte);
                }
                _ => return Err(Problem::TooLong),
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), Problem> {
        let line =
            String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| Problem::NotUtf8)?;
        let line = if self.started {
            line.as_str()
        } else {
            line.strip_prefix('\u{feff}').unwrap_or(&line)
        };
        self.started = true;
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.event.name),
            // Comments, ids and retry times concern the connection to the provider.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        chunks.iter().flat_map(|chunk| parser.push(chunk).expect("valid")).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(
            parse(&[b"data: YHOO\ndata: +2\ndata: 10\n\n"]),
            [Event::data("YHOO\n+2\n10".into())]
        );
        let expected = [
            Event::data("first event".into()),
            Event::data("second event".into()),
            Event::data(" third event".into()),
        ];
        assert_eq!(parse(&[b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"]), expected);
        assert_eq!(
            parse(&[b"data\n\ndata\ndata\n\ndata:"]),
            [Event::data(String::new()), Event::data("\n".into())]
        );
        assert_eq!(
            parse(&["\u{feff}event: a\r\ndata: b\r\n\r\n".as_bytes()]),
            [Event { name: "a".into(), data: "b".into() }]
        );
        assert_eq!(parse(&[b"event: lost\n\n"]), []);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..10).any(|_| parser.push(&chunk) == Err(Problem::TooLong)));
    }

    proptest! {
        #[test]
        fn every_chunking_gives_the_same_events(text in "(data: [a-zé]{0,6}(\r\n|\n|\r)|(\r\n|\n|\r)|event: x\n|: c\n){0,20}", cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&chunks), parse(&[bytes]));
        }

        #[test]
        fn any_bytes_end_in_events_or_a_problem(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _outcome = Parser::default().push(&bytes);
        }

        #[test]
        fn nothing_written_is_more_than_one_event(name in "[a-z\r\n:]{0,8}", data in "[a-z\r\n: ]{0,40}") {
            let event = Event { name, data };
            let read = parse(&[&event.to_bytes()]);
            prop_assert_eq!(read.len(), 1);
            let flat = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(&read[0].data, &flat(&event.data));
        }

        #[test]
        fn what_is_written_reads_back(name in "[a-z.]{0,8}", data in "[ -~\n]{0,40}") {
            let event = Event { name, data };
            prop_assert_eq!(parse(&[&event.to_bytes()]), [event]);
        }
    }
}
