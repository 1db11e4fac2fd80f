//! The master key: where it lives, how it is read and written, and how it wraps data keys.
//!
//! In a file or an environment variable, it is 64 hexadecimal digits. While it is being
//! replaced there are several, the new one first: it wraps, and all of them unwrap.

use std::{
    fmt, fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use bartizan_core::Cx;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{Context, SHA256},
};
use zeroize::Zeroizing;

use super::{Secret, frame};
use crate::{Error, Result, StoreSettings, files, hex, repository::WrappedKey};

/// The master key's file in the data directory.
pub(crate) const FILE: &str = "master.key";
/// Stands above a key that a rotation is about to remove.
const RETIRING: &str = "# being replaced: the next start removes it";
// LIMIT: a key file holds a few lines.
const FILE_BYTES_MAX: u64 = 64 << 10;
const WRAP_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Env(String),
    File(PathBuf),
}

impl Source {
    pub(crate) fn of(settings: &StoreSettings, dir: &Path) -> Self {
        match (&settings.master_key_env, &settings.master_key_file) {
            (Some(name), _) => Self::Env(name.clone()),
            (None, Some(path)) => Self::File(path.clone()),
            (None, None) => Self::File(dir.join(FILE)),
        }
    }

    /// The keys there; `None` when there is no such file.
    pub(crate) fn load(&self) -> Result<Option<Keyring>> {
        let text = match self {
            Self::Env(name) => Zeroizing::new(std::env::var(name).map_err(|_| {
                self.refuse(
                    "it is not set; set it to the master key, or drop `store.master_key_env`",
                )
            })?),
            Self::File(path) => match files::read_text(path, FILE_BYTES_MAX) {
                Ok(text) => Zeroizing::new(text),
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        self.parse(&text).map(Some)
    }

    fn parse(&self, text: &str) -> Result<Keyring> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let digits = lines.flat_map(|line| line.split(',')).map(str::trim);
        let digits = digits.filter(|digits| !digits.is_empty());
        let mut keys = Vec::new();
        for (at, digits) in digits.enumerate() {
            let secret = hex::decode(digits).map(Zeroizing::new).ok_or_else(|| {
                self.refuse(&format!("key {} in it is not 64 hexadecimal digits", at + 1))
            })?;
            keys.push(MasterKey::new(secret)?);
        }
        if keys.is_empty() {
            return Err(
                self.refuse("there is no key in it; put the key of 64 hexadecimal digits back")
            );
        }
        let retiring = text.lines().any(|line| line.trim() == RETIRING);
        Ok(Keyring { keys, retiring })
    }

    /// Writes keys to the file, whole or not at all.
    pub(crate) fn save(&self, keyring: &Keyring) -> Result<()> {
        let Self::File(path) = self else {
            return Err(self.refuse(
                "a variable cannot be changed from here; set it to the new key, a comma and the old key, and start again: that rotates it",
            ));
        };
        let mut text = Zeroizing::new(String::from(
            "# The master key of this store. Whoever has it and the database can read everything;\n\
             # without it, nothing encrypted can ever be read again. Keep a copy elsewhere.\n",
        ));
        for (at, key) in keyring.keys.iter().enumerate() {
            if at > 0 {
                text.push_str(RETIRING);
                text.push('\n');
            }
            text.push_str(&Zeroizing::new(hex::encode(&*key.secret)));
            text.push('\n');
        }
        files::write_whole(path, |file| file.write_all(text.as_bytes()))
    }

    pub(crate) fn refuse(&self, problem: &str) -> Error {
        Error::MasterKey { place: self.to_string(), problem: problem.to_owned() }
    }

    /// Warns when others on this machine can read the file.
    pub(crate) fn warn_if_open(&self) {
        use std::os::unix::fs::PermissionsExt;
        let Self::File(path) = self else { return };
        let Ok(metadata) = fs::metadata(path) else { return };
        if metadata.permissions().mode() & 0o007 != 0 {
            tracing::warn!(path = %path.display(), "every user of this machine may read the master key; `chmod 600` it");
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// Master keys: the first wraps, all of them unwrap.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: Vec<MasterKey>,
    /// Whether a rotation that we began has still to remove the old keys.
    pub(crate) retiring: bool,
}

impl Keyring {
    pub(crate) fn generate(cx: &Cx) -> Result<Self> {
        let keys = vec![MasterKey::new(Zeroizing::new(cx.random()))?];
        Ok(Self { keys, retiring: false })
    }

    /// A new key before the present ones.
    pub(crate) fn with_new(&self, cx: &Cx) -> Result<Self> {
        let mut keys = vec![MasterKey::new(Zeroizing::new(cx.random()))?];
        for key in &self.keys {
            keys.push(MasterKey::new(key.secret.clone())?);
        }
        Ok(Self { keys, retiring: true })
    }

    /// The first key alone.
    pub(crate) fn without_old(&self) -> Result<Self> {
        let keys = self.keys.iter().take(1).map(|key| MasterKey::new(key.secret.clone()));
        Ok(Self { keys: keys.collect::<Result<_>>()?, retiring: false })
    }

    /// The name of the key that wraps.
    pub(crate) fn name(&self) -> &str {
        self.keys.first().map_or("", |key| &key.name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Wraps a data key; `key.wrapped` and `key.master` are set.
    pub(crate) fn wrap(&self, key: &mut WrappedKey, secret: &Secret, cx: &Cx) -> Result<()> {
        let master = self.keys.first().ok_or(Error::Closed)?;
        let nonce = cx.random::<NONCE_BYTES>();
        let mut text = Zeroizing::new(secret.to_vec());
        let tag = master
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(wrap_frame(&key.tenant, &key.id)),
                &mut text,
            )
            .map_err(|_| Error::AlteredKey { tenant: key.tenant.clone() })?;
        key.wrapped = [&[WRAP_VERSION], nonce.as_slice(), &text, tag.as_ref()].concat();
        key.master.clone_from(&master.name);
        Ok(())
    }

    /// Unwraps a data key; `None` when no key here wrapped it.
    pub(crate) fn unwrap(&self, key: &WrappedKey) -> Result<Option<Secret>> {
        let Some(master) = self.keys.iter().find(|master| master.name == key.master) else {
            return Ok(None);
        };
        let altered = || Error::AlteredKey { tenant: key.tenant.clone() };
        let (&version, rest) = key.wrapped.split_first().ok_or_else(altered)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(altered)?;
        if version != WRAP_VERSION {
            return Err(altered());
        }
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(wrap_frame(&key.tenant, &key.id));
        let plain = master.key.open_in_place(nonce, aad, &mut text).map_err(|_| altered())?;
        let secret = <[u8; 32]>::try_from(&*plain).map_err(|_| altered())?;
        Ok(Some(Zeroizing::new(secret)))
    }
}

fn wrap_frame(tenant: &str, id: &[u8]) -> Vec<u8> {
    frame(&[b"bartizan data key 1", tenant.as_bytes(), id])
}

struct MasterKey {
    /// What the database calls it: a digest, from which the key cannot be found.
    name: String,
    secret: Secret,
    key: LessSafeKey,
}

impl MasterKey {
    fn new(secret: Secret) -> Result<Self> {
        let mut context = Context::new(&SHA256);
        context.update(b"bartizan master key name 1");
        context.update(&*secret);
        let digest = context.finish();
        let name = hex::encode(digest.as_ref().get(..8).unwrap_or_default());
        let key = UnboundKey::new(&AES_256_GCM, &*secret).map_err(|_| Error::Closed)?;
        Ok(Self { name, secret, key: LessSafeKey::new(key) })
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(dir: &Path) -> Source {
        Source::of(&StoreSettings::default(), dir)
    }

    fn wrapped(keyring: &Keyring, cx: &Cx) -> (WrappedKey, Secret) {
        let secret = Zeroizing::new(cx.random());
        let mut key = WrappedKey {
            tenant: "acme".into(),
            id: cx.random(),
            master: String::new(),
            wrapped: Vec::new(),
            time: cx.now(),
        };
        keyring.wrap(&mut key, &secret, cx).expect("wraps");
        (key, secret)
    }

    #[test]
    fn a_key_file_is_private_and_reads_back() {
        use std::os::unix::fs::PermissionsExt;
        let (cx, _) = bartizan_core::sim::cx(1);
        let dir = tempfile::tempdir().expect("a directory");
        let source = source(dir.path());
        assert!(source.load().expect("absent is no error").is_none());
        let keyring = Keyring::generate(&cx).expect("a key");
        source.save(&keyring).expect("written");
        let mode = fs::metadata(dir.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let back = source.load().expect("read").expect("there");
        assert_eq!(back.name(), keyring.name());
        let (key, secret) = wrapped(&keyring, &cx);
        assert_eq!(back.unwrap(&key).expect("opens"), Some(secret));
    }

    #[test]
    fn during_a_rotation_both_keys_unwrap_and_the_new_one_wraps() {
        let (cx, _) = bartizan_core::sim::cx(2);
        let dir = tempfile::tempdir().expect("a directory");
        let old = Keyring::generate(&cx).expect("a key");
        let (key, secret) = wrapped(&old, &cx);
        let both = old.with_new(&cx).expect("a key");
        source(dir.path()).save(&both).expect("written");
        let both = source(dir.path()).load().expect("read").expect("there");
        assert!(both.retiring && both.has(old.name()) && both.name() != old.name());
        assert_eq!(both.unwrap(&key).expect("opens"), Some(secret));
        let new = both.without_old().expect("a key");
        assert!(!new.retiring);
        assert_eq!(new.unwrap(&key).expect("another's"), None);
        assert!(new.unwrap(&wrapped(&both, &cx).0).expect("opens").is_some());
    }

    #[test]
    fn a_wrapped_key_is_bound_to_its_tenant_and_every_bit() {
        let (cx, _) = bartizan_core::sim::cx(3);
        let keyring = Keyring::generate(&cx).expect("a key");
        let (key, _) = wrapped(&keyring, &cx);
        let other = WrappedKey { tenant: "other".into(), ..key.clone() };
        assert!(matches!(keyring.unwrap(&other), Err(Error::AlteredKey { .. })));
        for bit in 0..key.wrapped.len() * 8 {
            let mut bent = key.clone();
            bent.wrapped[bit / 8] ^= 1 << (bit % 8);
            assert!(keyring.unwrap(&bent).is_err(), "bit {bit}");
        }
        for len in 0..key.wrapped.len() {
            let cut = WrappedKey { wrapped: key.wrapped[..len].to_vec(), ..key.clone() };
            assert!(keyring.unwrap(&cut).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_name_and_never_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        for text in ["", "# nothing", "secret-looking", &"ab".repeat(31)] {
            fs::write(&path, text).expect("written");
            let error = source(dir.path()).load().expect_err("refused").to_string();
            assert!(error.contains(FILE) && !error.contains("secret-looking"), "{error}");
        }
        let env = Source::Env("BARTIZAN_TEST_NO_SUCH_VARIABLE".into());
        let error = env.load().expect_err("refused").to_string();
        assert!(error.contains("`BARTIZAN_TEST_NO_SUCH_VARIABLE`"), "{error}");
        // Cargo sets this one, and it is no key.
        let error = Source::Env("CARGO_PKG_NAME".into()).load().expect_err("refused").to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("store"), "{error}");
        let (cx, _) = bartizan_core::sim::cx(4);
        let error = env.save(&Keyring::generate(&cx).expect("a key")).expect_err("refused");
        assert!(error.to_string().contains("the new key, a comma and the old key"), "{error}");
    }
}
