//! Signed notes (C2SP signed-note) and checkpoints (C2SP tlog-checkpoint).

use bartizan_core::Cx;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

use crate::{Error, tree::Hash};

/// Ed25519 signatures of notes.
const ALG_ED25519: u8 = 1;
/// Witnesses' cosignatures: Ed25519 over the note and a time.
const ALG_COSIGNATURE: u8 = 4;
/// A note longer than this is refused, in bytes.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// A note with more signatures is refused; C2SP signed-note asks for 16 at least.
const SIGNATURES_MAX: usize = 64;

/// A public key: `<name>+<id>+<base64 of algorithm and key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    pub name: String,
    id: [u8; 4],
    algorithm: u8,
    key: Vec<u8>,
}

impl VerifierKey {
    fn new(name: &str, algorithm: u8, key: &[u8]) -> Self {
        let id = key_id(name, algorithm, key);
        Self { name: name.to_owned(), id, algorithm, key: key.to_vec() }
    }

    /// Reads the one-line form.
    ///
    /// # Errors
    /// When the text is no key, or its id does not fit.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Key {
            problem: format!(
                "`{}` is not a verifier key: expected `name+id+base64`",
                bartizan_core::json::clip(text, 120)
            ),
        };
        let (name, rest) = text.trim().split_once('+').ok_or_else(wrong)?;
        let (id, key) = rest.split_once('+').ok_or_else(wrong)?;
        let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
        let (algorithm, key) = bytes.split_first().ok_or_else(wrong)?;
        let made = Self::new(name, *algorithm, key);
        let known = [ALG_ED25519, ALG_COSIGNATURE].contains(algorithm) && key.len() == 32;
        if id != hex(made.id) || !known || !is_name(name) {
            return Err(wrong());
        }
        Ok(made)
    }

    /// Whether it is a witness's, for cosignatures.
    pub fn is_cosigner(&self) -> bool {
        self.algorithm == ALG_COSIGNATURE
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        match self.algorithm {
            ALG_ED25519 => key.verify(text.as_bytes(), signature).is_ok(),
            _ => {
                let Some((time, signature)) = signature.split_first_chunk::<8>() else {
                    return false;
                };
                let time = u64::from_be_bytes(*time);
                // A later time than this is no valid one (C2SP tlog-cosignature).
                if i64::try_from(time).is_err() {
                    return false;
                }
                key.verify(cosigned(text, time).as_bytes(), signature).is_ok()
            }
        }
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![self.algorithm];
        bytes.extend(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(self.id), STANDARD.encode(bytes))
    }
}

/// A name stands in lines and keys that white space and `+` divide.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn key_id(name: &str, algorithm: u8, key: &[u8]) -> [u8; 4] {
    let mut input = name.as_bytes().to_vec();
    input.extend([b'\n', algorithm]);
    input.extend(key);
    let hash = digest(&SHA256, &input);
    let mut id = [0; 4];
    for (to, from) in id.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    id
}

/// What a witness signs: a header, the time, the note.
fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A private key that signs checkpoints.
pub struct SigningKey {
    name: String,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key of this name.
    ///
    /// # Errors
    /// When the name has white space or `+`.
    pub fn generate(name: &str, cx: &Cx) -> Result<Self, Error> {
        Self::from_seed(name, cx.random())
    }

    /// # Errors
    /// When the text cannot name a key.
    pub(crate) fn check_name(name: &str) -> Result<(), Error> {
        if is_name(name) {
            return Ok(());
        }
        let name = bartizan_core::json::clip(name, 120);
        Err(Error::Key {
            problem: format!("`{name}` cannot name a key: expected no white space and no `+`"),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, Error> {
        Self::check_name(name)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|e| Error::Key { problem: e.to_string() })?;
        Ok(Self { name: name.to_owned(), seed, pair })
    }

    /// Reads `PRIVATE+KEY+<name>+<id>+<base64>`.
    ///
    /// # Errors
    /// When the text is no such key; it is not repeated.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Key {
            problem: "it is not a private key of the form `PRIVATE+KEY+name+id+base64`".to_owned(),
        };
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or_else(wrong)?;
        let (name, rest) = rest.split_once('+').ok_or_else(wrong)?;
        let (id, key) = rest.split_once('+').ok_or_else(wrong)?;
        let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
        let Some((&ALG_ED25519, seed)) = bytes.split_first() else { return Err(wrong()) };
        let seed = seed.try_into().map_err(|_| wrong())?;
        let key = Self::from_seed(name, seed)?;
        if id == hex(key.verifier().id) { Ok(key) } else { Err(wrong()) }
    }

    /// The private form; it goes into a file that only its owner reads.
    pub fn encode(&self) -> String {
        let mut bytes = vec![ALG_ED25519];
        bytes.extend(self.seed);
        let id = hex(self.verifier().id);
        format!("PRIVATE+KEY+{}+{id}+{}", self.name, STANDARD.encode(bytes))
    }

    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(&self.name, ALG_ED25519, self.pair.public_key().as_ref())
    }

    /// The key that checks this key's cosignatures as a witness.
    pub fn cosigner(&self) -> VerifierKey {
        VerifierKey::new(&self.name, ALG_COSIGNATURE, self.pair.public_key().as_ref())
    }

    fn line(&self, text: &str) -> String {
        self.signature_line(self.verifier().id, self.pair.sign(text.as_bytes()).as_ref())
    }

    /// A witness's signature line over a note, at a time in seconds.
    pub fn cosignature(&self, text: &str, time: u64) -> String {
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend(self.pair.sign(cosigned(text, time).as_bytes()).as_ref());
        self.signature_line(self.cosigner().id, &bytes)
    }

    fn signature_line(&self, id: [u8; 4], signature: &[u8]) -> String {
        let mut bytes = id.to_vec();
        bytes.extend(signature);
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A tree's size and root under the log's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Head {
    /// The body of a checkpoint.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the body; lines beyond the third are extensions, which nothing here uses.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let number = size.parse().ok().filter(|n: &u64| n.to_string() == size)?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let is_whole = !origin.is_empty() && lines.all(|line| !line.is_empty());
        is_whole.then(|| Self { origin: origin.to_owned(), size: number, root })
    }
}

/// A checkpoint: a head with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub head: Head,
    /// The signed text, with its final newline.
    pub text: String,
    signatures: Vec<Signature>,
}

/// A signature line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        is_name(name).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }

    fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.id == key.id
    }

    fn line(&self) -> String {
        let mut bytes = self.id.to_vec();
        bytes.extend(&self.bytes);
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl Checkpoint {
    /// Signs a head with these keys.
    pub fn sign(head: &Head, keys: &[&SigningKey]) -> String {
        let text = head.text();
        let lines: String = keys.iter().map(|key| key.line(&text)).collect();
        format!("{text}\n{lines}")
    }

    /// Reads a note. Nothing is verified yet.
    ///
    /// # Errors
    /// Says what is malformed.
    pub fn parse(note: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::Note { problem: problem.to_owned() };
        if note.len() > NOTE_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(wrong("it holds a control character"));
        }
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or_else(|| wrong("no empty line stands between text and signatures"))?;
        let text = format!("{text}\n");
        let head = Head::parse(&text)
            .ok_or_else(|| wrong("its text is no checkpoint: expected origin, size and root"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| wrong("its last line is cut"))?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(Signature::parse).collect();
        let signatures = signatures.ok_or_else(|| wrong("a signature line is malformed"))?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(wrong("it has too many signatures"));
        }
        Ok(Self { head, text, signatures })
    }

    /// The note that it was read from: there is one way to write it.
    pub(crate) fn note(&self) -> String {
        let lines: String = self.signatures.iter().map(Signature::line).collect();
        format!("{}\n{lines}", self.text)
    }

    /// Whether this key signed it: a line is of the key, and every such line verifies.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        let mut mine = self.signatures.iter().filter(|signature| signature.is_of(key)).peekable();
        mine.peek().is_some() && mine.all(|signature| key.verifies(&self.text, &signature.bytes))
    }

    /// The signature lines of a key, as they stood in the note.
    pub(crate) fn lines_of(&self, key: &VerifierKey) -> Vec<String> {
        self.signatures.iter().filter(|one| one.is_of(key)).map(Signature::line).collect()
    }

    /// The lines that are as long as a witness's: a time, and an Ed25519 signature.
    pub(crate) fn cosignature_lines(&self) -> Vec<String> {
        let long = self.signatures.iter().filter(|one| one.bytes.len() == 8 + 64);
        long.map(Signature::line).collect()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use bartizan_core::sim;
    use proptest::prelude::*;

    use super::*;

    /// The example of C2SP signed-note.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const SIGNATURE: &str = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=";

    #[test]
    fn the_published_signature_verifies() {
        let key = VerifierKey::parse(VKEY).expect("the example's key");
        assert_eq!(key.to_string(), VKEY);
        let signature = STANDARD.decode(SIGNATURE).expect("base64");
        assert_eq!(signature[..4], key.id);
        assert!(key.verifies("This is an example message.\n", &signature[4..]));
        assert!(!key.verifies("This is an example message!\n", &signature[4..]));
    }

    #[test]
    fn a_key_in_another_form_is_refused() {
        for other in [
            VKEY.replace("530d903a", "530D903A"),
            VKEY.replace("530d903a", "530d903b"),
            VKEY.replace("example.com/foo", "example.com/ foo"),
            VKEY.replace("example.com/foo", ""),
            VKEY.replace("+Aek", "+Auk"),
            VKEY.replace("3U2k", ""),
        ] {
            assert!(VerifierKey::parse(&other).is_err(), "{other}");
        }
    }

    fn signed() -> (String, SigningKey) {
        let key = SigningKey::generate("log.example/a", &sim::cx(1).0).expect("a name");
        let head = Head { origin: "log.example/a".into(), size: 7, root: [9; 32] };
        (Checkpoint::sign(&head, &[&key]), key)
    }

    #[test]
    fn a_checkpoint_reads_back_and_only_its_key_signed_it() {
        let (note, key) = signed();
        let checkpoint = Checkpoint::parse(&note).expect("a note");
        assert_eq!((checkpoint.head.size, checkpoint.head.root), (7, [9; 32]));
        assert!(checkpoint.is_signed_by(&key.verifier()));
        let other = SigningKey::generate("log.example/a", &sim::cx(2).0).expect("a name");
        assert!(!checkpoint.is_signed_by(&other.verifier()));
        assert!(!checkpoint.is_signed_by(&key.cosigner()));
        let cosigned = format!("{note}{}", other.cosignature(&checkpoint.text, 5));
        let cosigned = Checkpoint::parse(&cosigned).expect("a note");
        assert!(cosigned.is_signed_by(&other.cosigner()) && cosigned.is_signed_by(&key.verifier()));
        assert_eq!(cosigned.cosignature_lines().len(), 1);
    }

    #[test]
    fn a_wrong_line_beside_a_right_one_of_the_same_key_is_refused() {
        let (note, key) = signed();
        let mut second = Checkpoint::parse(&note).expect("a note").signatures.remove(0);
        second.bytes[9] ^= 1;
        let both = Checkpoint::parse(&format!("{note}{}", second.line())).expect("a note");
        assert!(!both.is_signed_by(&key.verifier()));
    }

    #[test]
    fn a_private_key_reads_back_and_is_never_shown() {
        let (_, key) = signed();
        let again = SigningKey::parse(&key.encode()).expect("its own form");
        assert_eq!(again.verifier(), key.verifier());
        assert!(!format!("{key:?}").contains(&key.encode()));
        let spoilt = key.encode().replace("log.example/a", "log.example/b");
        assert!(
            !SigningKey::parse(&spoilt).expect_err("refused").to_string().contains("PRIVATE+KEY+l")
        );
    }

    #[test]
    fn malformed_notes_are_refused() {
        let (note, _) = signed();
        for other in [
            note.replace("\n7\n", "\n07\n"),
            note.replace("\n7\n", "\n+7\n"),
            note.replace("log.example/a\n7", "\n7"),
            note.replace("\u{2014}", "-"),
            note.replace("\n\n", "\n"),
            note.replace("7\n", "7\r\n"),
            note.trim_end().to_owned(),
            format!("{note}\n"),
            note.replace("=\n\n", "=\n\nmore\n\n"),
            format!("{note}{}", "\u{2014} x AAAAAAAA\n".repeat(70)),
            "x".repeat(NOTE_BYTES_MAX + 1),
        ] {
            assert!(Checkpoint::parse(&other).is_err(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_note_or_a_problem(text in "\\PC{0,80}\n?\n?\u{2014}? ?\\PC{0,40}\n?") {
            let _read = Checkpoint::parse(&text).is_ok();
            let _key = VerifierKey::parse(&text).is_ok();
            let _private = SigningKey::parse(&text).is_ok();
        }

        #[test]
        fn a_changed_byte_never_verifies(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (note, key) = signed();
            let mut bytes = note.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let read = String::from_utf8(bytes).ok().and_then(|note| Checkpoint::parse(&note).ok());
            prop_assert!(!read.is_some_and(|changed| changed.is_signed_by(&key.verifier())));
        }
    }
}
