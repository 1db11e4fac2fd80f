//! Content codings, undone piece by piece and never further than a bound.
//!
//! Sources: RFC 9110 section 8.4, RFC 1952 (gzip), RFC 1950 (zlib). DEFLATE packs
//! at most 1032 to 1; an honest text packs 3 to 20 to 1.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status, write::GzDecoder};

/// LIMIT: how many times its packed size a body may have, once it is over [`RATIO_FREE`].
pub(crate) const RATIO_MAX: u64 = 200;
/// Up to so many bytes the ratio is not looked at: short repetitive texts pack well.
const RATIO_FREE: u64 = 1024 * 1024;
/// How much is unpacked in a step.
const STEP_BYTES: usize = 16 * 1024;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Deflate,
}

impl Coding {
    /// Reads a `content-encoding` header's value; nothing for a coding, or a chain of
    /// codings, that is not read here.
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// Why unpacking stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The body is longer than the bound.
    TooLong,
    /// The body unpacks to too many times its packed size.
    Bomb,
    /// The body is not packed as said, or ends too early or too late.
    Malformed(String),
}

/// Undoes a coding.
#[derive(Debug)]
pub struct Decoder {
    work: Work,
    read: u64,
    written: u64,
    max: u64,
}

#[derive(Debug)]
enum Work {
    Identity,
    Gzip(Box<GzDecoder<Sink>>),
    Deflate { state: Decompress, ended: bool },
}

impl Decoder {
    /// A decoder that gives at most `max` bytes.
    pub fn new(coding: Coding, max: u64) -> Self {
        let work = match coding {
            Coding::Identity => Work::Identity,
            Coding::Gzip => Work::Gzip(Box::new(GzDecoder::new(Sink::default()))),
            Coding::Deflate => Work::Deflate { state: Decompress::new(true), ended: false },
        };
        Self { work, read: 0, written: 0, max }
    }

    /// Takes a piece of the packed body; gives what it unpacks to, which may be nothing.
    ///
    /// # Errors
    /// Says why the body cannot be unpacked further.
    pub fn push(&mut self, packed: &Bytes) -> Result<Bytes, Problem> {
        self.read = self.read.saturating_add(length(packed));
        let room = self.room()?;
        let unpacked = match &mut self.work {
            Work::Identity => packed.clone(),
            Work::Gzip(decoder) => gunzip(decoder, packed, room)?,
            Work::Deflate { state, ended } => inflate(state, ended, packed, room)?,
        };
        self.written = self.written.saturating_add(length(&unpacked));
        self.check()?;
        Ok(unpacked)
    }

    /// Takes the end of the packed body; gives what was still within.
    ///
    /// # Errors
    /// When the packed body is not whole.
    pub fn finish(&mut self) -> Result<Bytes, Problem> {
        let whole = match &mut self.work {
            Work::Identity => true,
            _ if self.read == 0 => true,
            Work::Gzip(decoder) => decoder.try_finish().is_ok(),
            Work::Deflate { ended, .. } => *ended,
        };
        if !whole {
            let problem = "it ends too early, or its checksum is wrong".to_owned();
            return Err(Problem::Malformed(problem));
        }
        let rest = match &mut self.work {
            Work::Gzip(decoder) => decoder.get_mut().take(),
            _ => Bytes::new(),
        };
        self.written = self.written.saturating_add(length(&rest));
        self.check()?;
        Ok(rest)
    }

    /// How many bytes may still come out before a bound is broken, and one more to notice it.
    fn room(&self) -> Result<usize, Problem> {
        let bound = self.max.min(RATIO_FREE.max(self.read.saturating_mul(RATIO_MAX)));
        let room = bound.saturating_sub(self.written).saturating_add(1);
        Ok(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn check(&self) -> Result<(), Problem> {
        if self.written > self.max {
            return Err(Problem::TooLong);
        }
        let packed = !matches!(self.work, Work::Identity);
        if packed && self.written > RATIO_FREE.max(self.read.saturating_mul(RATIO_MAX)) {
            return Err(Problem::Bomb);
        }
        Ok(())
    }
}

/// Takes unpacked bytes until it is full.
#[derive(Debug, Default)]
struct Sink {
    bytes: Vec<u8>,
    room: usize,
}

impl Sink {
    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= self.room
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fitting = bytes.len().min(self.room.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(bytes.get(..fitting).unwrap_or_default());
        if fitting < bytes.len() { Err(io::Error::other("full")) } else { Ok(fitting) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gunzip(decoder: &mut GzDecoder<Sink>, packed: &[u8], room: usize) -> Result<Bytes, Problem> {
    decoder.get_mut().room = room;
    let done = decoder.write_all(packed).and_then(|()| decoder.flush());
    // A full sink is over the bound by a byte: the caller's check says which bound.
    if let (Err(problem), false) = (done, decoder.get_ref().is_full()) {
        let trailing = problem.kind() == io::ErrorKind::WriteZero;
        let problem =
            if trailing { "it goes on after its end".into() } else { problem.to_string() };
        return Err(Problem::Malformed(problem));
    }
    // What is flushed at the end fits too: it was counted in when it came.
    decoder.get_mut().room = usize::MAX;
    Ok(decoder.get_mut().take())
}

fn inflate(
    state: &mut Decompress,
    ended: &mut bool,
    packed: &[u8],
    room: usize,
) -> Result<Bytes, Problem> {
    let mut out = Vec::new();
    let mut step = vec![0; STEP_BYTES];
    let mut rest = packed;
    loop {
        if *ended && !rest.is_empty() {
            return Err(Problem::Malformed("it goes on after its end".to_owned()));
        }
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state.decompress(rest, &mut step, FlushDecompress::None);
        let status = status.map_err(|e| Problem::Malformed(e.to_string()))?;
        let consumed = usize::try_from(state.total_in() - before_in).unwrap_or(usize::MAX);
        let made = usize::try_from(state.total_out() - before_out).unwrap_or(usize::MAX);
        rest = rest.get(consumed..).unwrap_or_default();
        out.extend_from_slice(step.get(..made).unwrap_or_default());
        *ended |= status == Status::StreamEnd;
        let stuck = consumed == 0 && made == 0;
        if out.len() >= room || stuck || (*ended && rest.is_empty()) {
            out.truncate(room);
            return Ok(out.into());
        }
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn pack(coding: Coding, text: &[u8]) -> Vec<u8> {
        let level = Compression::best();
        match coding {
            Coding::Identity => text.to_vec(),
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
            }
        }
    }

    fn unpack(coding: Coding, packed: &[u8], chunk: usize, max: u64) -> Result<Vec<u8>, Problem> {
        let mut decoder = Decoder::new(coding, max);
        let mut out = Vec::new();
        for piece in packed.chunks(chunk.max(1)) {
            out.extend(decoder.push(&Bytes::copy_from_slice(piece))?);
        }
        out.extend(decoder.finish()?);
        Ok(out)
    }

    const ALL: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Deflate];

    #[test]
    fn bombs_stop_at_the_bound_that_they_break() {
        let zeros = vec![0; 8 << 20];
        for coding in [Coding::Gzip, Coding::Deflate] {
            let packed = pack(coding, &zeros);
            for chunk in [1000, 100_000] {
                assert_eq!(unpack(coding, &packed, chunk, 64 << 20), Err(Problem::Bomb));
                assert_eq!(unpack(coding, &packed, chunk, 1 << 19), Err(Problem::TooLong));
            }
        }
        assert_eq!(unpack(Coding::Identity, &zeros, 1000, 1000), Err(Problem::TooLong));
        assert!(unpack(Coding::Identity, &zeros, 1000, 8 << 20).is_ok());
    }

    #[test]
    fn a_step_never_holds_much_more_than_the_bound() {
        let packed = Bytes::from(pack(Coding::Gzip, &vec![0; 64 << 20]));
        let mut decoder = Decoder::new(Coding::Gzip, 1000);
        assert_eq!(decoder.push(&packed), Err(Problem::TooLong));
        assert_eq!(decoder.written, 1001);
    }

    #[test]
    fn what_is_not_whole_is_malformed() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let packed = pack(coding, b"some text that is packed");
            for end in 1..packed.len() {
                let cut = unpack(coding, packed.get(..end).expect("shorter"), 7, 1000);
                assert!(matches!(cut, Err(Problem::Malformed(_))), "{coding:?} {end} {cut:?}");
            }
            let more = [&packed[..], b"more"].concat();
            for chunk in [3, 1000] {
                let long = unpack(coding, &more, chunk, 1000);
                let says = Problem::Malformed("it goes on after its end".to_owned());
                assert_eq!(long, Err(says), "{coding:?} {chunk}");
            }
            let mut wrong = packed.clone();
            *wrong.last_mut().expect("bytes") ^= 1;
            assert!(matches!(unpack(coding, &wrong, 7, 1000), Err(Problem::Malformed(_))));
            assert_eq!(unpack(coding, b"", 7, 1000), Ok(Vec::new()));
        }
    }

    #[test]
    fn text_comes_out_as_soon_as_it_is_in() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"data: one\n\n").and_then(|()| encoder.flush()).expect("in memory");
        let mut decoder = Decoder::new(Coding::Gzip, 1000);
        let first = decoder.push(&Bytes::from(encoder.get_ref().clone()));
        assert_eq!(first, Ok(Bytes::from_static(b"data: one\n\n")));
    }

    #[test]
    fn codings_are_read_by_name() {
        assert_eq!(Coding::parse("GZIP "), Some(Coding::Gzip));
        assert_eq!(Coding::parse("identity"), Some(Coding::Identity));
        for unknown in ["br", "zstd", "gzip, gzip", "gzip;q=1"] {
            assert_eq!(Coding::parse(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn packing_and_unpacking_changes_nothing(
            text in proptest::collection::vec(any::<u8>(), 0..5000), chunk in 1usize..400,
        ) {
            for coding in ALL {
                let packed = pack(coding, &text);
                let unpacked = unpack(coding, &packed, chunk, 5000);
                prop_assert_eq!(unpacked.as_ref(), Ok(&text));
            }
        }

        #[test]
        fn any_bytes_in_any_pieces_end_alike_within_the_bound(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), chunk in 1usize..400,
        ) {
            for coding in ALL {
                let head = if coding == Coding::Gzip { &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..] } else { b"\x78\x9c" };
                let bytes = [head, &bytes].concat();
                let pieces = unpack(coding, &bytes, chunk, 700).ok();
                prop_assert_eq!(&pieces, &unpack(coding, &bytes, 100_000, 700).ok());
                prop_assert!(pieces.is_none_or(|out| out.len() <= 700));
            }
        }
    }
}
