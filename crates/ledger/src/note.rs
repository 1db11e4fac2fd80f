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
/// Signatures on a note that are read.
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
        let fits = u32::from_str_radix(id, 16).is_ok_and(|id| id.to_be_bytes() == made.id);
        let known = [ALG_ED25519, ALG_COSIGNATURE].contains(algorithm) && key.len() == 32;
        if !fits || !known || name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(made)
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
                key.verify(cosigned(text, time).as_bytes(), signature).is_ok()
            }
        }
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![self.algorithm];
        bytes.extend(&self.key);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(bytes))
    }
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

    fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, Error> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(Error::Key {
                problem: format!("`{name}` cannot name a key: no white space and no `+`"),
            });
        }
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
        let fits =
            u32::from_str_radix(id, 16).is_ok_and(|id| id.to_be_bytes() == key.verifier().id);
        if fits { Ok(key) } else { Err(wrong()) }
    }

    /// The private form; it goes into a file that only its owner reads.
    pub fn encode(&self) -> String {
        let mut bytes = vec![ALG_ED25519];
        bytes.extend(self.seed);
        let id = u32::from_be_bytes(self.verifier().id);
        format!("PRIVATE+KEY+{}+{id:08x}+{}", self.name, STANDARD.encode(bytes))
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
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let number = size.parse().ok().filter(|n: &u64| n.to_string() == size)?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        (!origin.is_empty()).then(|| Self { origin: origin.to_owned(), size: number, root })
    }
}

/// A checkpoint: a head with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub head: Head,
    /// The signed text, with its final newline.
    pub text: String,
    signatures: Vec<(String, [u8; 4], Vec<u8>)>,
}

impl Checkpoint {
    /// Signs a head with these keys.
    pub fn sign(head: Head, keys: &[&SigningKey]) -> String {
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
        let end = note
            .rfind("\n\n")
            .ok_or_else(|| wrong("no empty line stands between text and signatures"))?;
        let (text, lines) = (note.get(..=end), note.get(end + 2..));
        let (Some(text), Some(lines)) = (text, lines) else { return Err(wrong("it is cut")) };
        let head = Head::parse(text)
            .ok_or_else(|| wrong("its text is no checkpoint: expected origin, size and root"))?;
        if !lines.ends_with('\n') {
            return Err(wrong("its last line is cut"));
        }
        let signatures =
            lines.lines().take(SIGNATURES_MAX).map(signature).collect::<Option<Vec<_>>>();
        let signatures = signatures
            .filter(|list| !list.is_empty())
            .ok_or_else(|| wrong("a signature line is malformed"))?;
        Ok(Self { head, text: text.to_owned(), signatures })
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        let mine =
            self.signatures.iter().filter(|(name, id, _)| *name == key.name && *id == key.id);
        let mut mine = mine.map(|(_, _, signature)| key.verifies(&self.text, signature));
        mine.next().is_some_and(|first| first && mine.all(|good| good))
    }
}

fn signature(line: &str) -> Option<(String, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    Some((name.to_owned(), *id, signature.to_vec()))
}

impl Checkpoint {
    /// The signature line of a key, as it stood in the note.
    pub(crate) fn line_of(&self, key: &VerifierKey) -> Option<String> {
        let (name, id, signature) =
            self.signatures.iter().find(|(name, id, _)| *name == key.name && *id == key.id)?;
        let mut bytes = id.to_vec();
        bytes.extend(signature);
        Some(format!("\u{2014} {name} {}\n", STANDARD.encode(bytes)))
    }
}
