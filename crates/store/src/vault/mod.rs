//! Keys: the master key wraps one data key a tenant, which encrypts, authenticates and digests.
//!
//! From a tenant's data key, HKDF-SHA256 (RFC 5869) derives one key a purpose. A sealed part is
//! AES-256-GCM (NIST SP 800-38D) under a key derived from 16 random bytes for it alone, so that
//! the 2^32 messages that SP 800-38D allows a key with random nonces are no bound. The tag of a
//! record is HMAC-SHA256 (RFC 2104). Both bind tenant, class, id and version.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use bartizan_core::{Cx, Id, Tenant};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk},
    hmac::{self, HMAC_SHA256},
};
use zeroize::Zeroizing;

mod master;

use master::Keyring;
pub(crate) use master::Source;

use crate::{
    Error, NewMasterKey, Result, hex,
    repository::{KeyId, Repository, Row, Sealed, WrappedKey},
};

pub(crate) type Secret = Zeroizing<[u8; 32]>;

const SEAL_VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
/// How long a data key is trusted that another node may have destroyed.
const TRUST_MAX: Duration = Duration::from_secs(5);

/// The keys of a store.
pub(crate) struct Vault {
    repository: Arc<dyn Repository>,
    source: Source,
    keyring: RwLock<Arc<Keyring>>,
    // LIMIT: one a tenant, and tenants are made by who operates the store.
    data_keys: RwLock<Known>,
    /// Held while keys are made or wrapped anew.
    changing: tokio::sync::Mutex<()>,
    cx: Cx,
}

/// The data keys in memory.
#[derive(Default)]
struct Known {
    keys: HashMap<Tenant, (Arc<DataKey>, Instant)>,
    /// How often one was forgotten: a key that was read before that is not kept, since it may
    /// be the one that was destroyed.
    forgotten: u64,
}

impl Vault {
    /// Reads the master key, or generates it where nothing is encrypted yet; finishes a
    /// rotation that was begun.
    pub(crate) async fn open(
        repository: Arc<dyn Repository>,
        source: Source,
        cx: &Cx,
    ) -> Result<Self> {
        let wrapped = repository.data_keys().await?;
        let keyring = match source.load()? {
            Some(keyring) => keyring,
            None if wrapped.is_empty() => {
                let keyring = Keyring::generate(cx)?;
                source.save(&keyring)?;
                keyring
            }
            None => {
                return Err(source.refuse(
                    "it is missing, and the database is encrypted with it; put your copy of it back",
                ));
            }
        };
        source.warn_if_open();
        if let Some(stranger) = wrapped.iter().find(|key| !keyring.has(&key.master)) {
            let expected = stranger.master.clone();
            return Err(Error::OtherMasterKey { place: source.to_string(), expected });
        }
        let vault = Self {
            repository,
            source,
            keyring: RwLock::new(Arc::new(keyring)),
            data_keys: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            cx: cx.clone(),
        };
        vault.rewrap_all().await?;
        Ok(vault)
    }

    /// The data key of a tenant, if it has one.
    pub(crate) async fn key(&self, tenant: &Tenant) -> Result<Option<Arc<DataKey>>> {
        if let Some(key) = self.cached(tenant) {
            return Ok(Some(key));
        }
        let forgotten = self.known().forgotten;
        let Some(wrapped) = self.repository.data_key(tenant.as_str()).await? else {
            return Ok(None);
        };
        self.remember(tenant, &wrapped, forgotten).map(Some)
    }

    /// The data key of a tenant, made now if it has none.
    pub(crate) async fn key_or_new(&self, tenant: &Tenant) -> Result<Arc<DataKey>> {
        if let Some(key) = self.key(tenant).await? {
            return Ok(key);
        }
        let _changing = self.changing.lock().await;
        let forgotten = self.known().forgotten;
        let secret = Zeroizing::new(self.cx.random());
        let mut wrapped = WrappedKey {
            tenant: tenant.to_string(),
            id: self.cx.random(),
            master: String::new(),
            wrapped: Vec::new(),
            time: self.cx.now(),
        };
        self.keyring().wrap(&mut wrapped, &secret, &self.cx)?;
        let stored = self.repository.add_data_key(wrapped).await?.ok_or(Error::Closed)?;
        self.remember(tenant, &stored, forgotten)
    }

    /// Brings in a tenant's data key from elsewhere. Returns the key that it was, for reading
    /// what came with it, and whether it is destroyed here.
    pub(crate) async fn adopt(&self, foreign: &WrappedKey) -> Result<(DataKey, bool)> {
        let secret = self.unwrap(foreign)?;
        let _changing = self.changing.lock().await;
        let mut ours = foreign.clone();
        self.keyring().wrap(&mut ours, &secret, &self.cx)?;
        let kept = self.repository.add_data_key(ours).await?;
        Ok((DataKey::new(foreign.id, &secret)?, kept.is_none()))
    }

    /// Forgets a data key that was destroyed.
    pub(crate) fn forget(&self, tenant: &Tenant) {
        let mut known = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        known.keys.remove(tenant);
        known.forgotten += 1;
    }

    /// Puts another master key in force; returns its name.
    pub(crate) async fn rotate(&self, new: NewMasterKey) -> Result<String> {
        let changing = self.changing.lock().await;
        let next = match new {
            NewMasterKey::Generated if self.repository.shared() => {
                return Err(self.source.refuse(
                    "other nodes share the database, and would not know a key that is made here; put the new key above the present one into every node's master key, then rotate with `--from-file` on one of them",
                ));
            }
            NewMasterKey::Generated => {
                let next = self.keyring().with_new(&self.cx)?;
                self.source.save(&next)?;
                next
            }
            NewMasterKey::FromFile => self.reload()?,
        };
        let name = next.name().to_owned();
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        drop(changing);
        self.rewrap_all().await?;
        Ok(name)
    }

    fn reload(&self) -> Result<Keyring> {
        let missing = || self.source.refuse("it is missing; put it back");
        let next = self.source.load()?.ok_or_else(missing)?;
        if next.has(self.keyring().name()) {
            return Ok(next);
        }
        Err(self.source.refuse(
            "the present key is no longer in it; put the new key on the first line, and the present one after it",
        ))
    }

    /// Wraps anew what is not under the first master key; then removes old keys from our file.
    async fn rewrap_all(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        let keyring = self.keyring();
        for mut key in self.repository.data_keys().await? {
            if key.master != keyring.name() {
                let stranger = || Error::OtherMasterKey {
                    place: self.source.to_string(),
                    expected: key.master.clone(),
                };
                let secret = keyring.unwrap(&key)?.ok_or_else(stranger)?;
                keyring.wrap(&mut key, &secret, &self.cx)?;
                self.repository.rewrap(&key).await?;
            }
        }
        if keyring.retiring {
            let alone = keyring.without_old()?;
            self.source.save(&alone)?;
            *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(alone);
        }
        Ok(())
    }

    /// The name of the master key in force.
    pub(crate) fn master_name(&self) -> String {
        self.keyring().name().to_owned()
    }

    fn keyring(&self) -> Arc<Keyring> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.data_keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, tenant: &Tenant) -> Option<Arc<DataKey>> {
        let known = self.known();
        let (key, since) = known.keys.get(tenant)?;
        let trusted = !self.repository.shared() || since.elapsed() < TRUST_MAX;
        trusted.then(|| key.clone())
    }

    /// Unwraps a data key. Where another node has put another master key in force, it is in our
    /// file or variable by now.
    fn unwrap(&self, wrapped: &WrappedKey) -> Result<Secret> {
        let keyring = self.keyring();
        if let Some(secret) = keyring.unwrap(wrapped)? {
            return Ok(secret);
        }
        let stranger = || Error::OtherMasterKey {
            place: self.source.to_string(),
            expected: wrapped.master.clone(),
        };
        let next = self.source.load()?.ok_or_else(stranger)?;
        let secret = next.unwrap(wrapped)?.ok_or_else(stranger)?;
        if next.has(keyring.name()) {
            *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
        Ok(secret)
    }

    /// Unwraps a key, and keeps it unless one was forgotten since it was read.
    fn remember(
        &self,
        tenant: &Tenant,
        wrapped: &WrappedKey,
        forgotten: u64,
    ) -> Result<Arc<DataKey>> {
        let key = Arc::new(DataKey::new(wrapped.id, &self.unwrap(wrapped)?)?);
        let mut known = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        if known.forgotten == forgotten {
            known.keys.insert(tenant.clone(), (key.clone(), Instant::now()));
        }
        Ok(key)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A tenant's data key, as the keys of its purposes.
pub(crate) struct DataKey {
    pub(crate) id: KeyId,
    seal: Prk,
    tag: hmac::Key,
    digest: hmac::Key,
    cursor: hmac::Key,
}

impl DataKey {
    fn new(id: KeyId, secret: &Secret) -> Result<Self> {
        let root = Prk::new_less_safe(HKDF_SHA256, &**secret);
        let mac = |purpose: &str| -> Result<hmac::Key> {
            let mut key = Zeroizing::new([0; 32]);
            derive(&root, &[purpose.as_bytes()], &mut key)?;
            Ok(hmac::Key::new(HMAC_SHA256, &*key))
        };
        let mut seal = Zeroizing::new([0; 32]);
        derive(&root, &[b"seal"], &mut seal)?;
        Ok(Self {
            id,
            seal: Prk::new_less_safe(HKDF_SHA256, &*seal),
            tag: mac("tag")?,
            digest: mac("digest")?,
            cursor: mac("cursor")?,
        })
    }

    /// Encrypts, bound to what `about` frames.
    pub(crate) fn seal(&self, about: &[u8], plain: &[u8], cx: &Cx) -> Result<Vec<u8>> {
        let salt = cx.random::<SALT_BYTES>();
        let nonce = cx.random::<NONCE_BYTES>();
        let head = 1 + SALT_BYTES + NONCE_BYTES;
        let mut out = Vec::with_capacity(head + plain.len() + AES_256_GCM.tag_len());
        out.push(SEAL_VERSION);
        out.extend_from_slice(&salt);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let body = out.get_mut(head..).ok_or(Error::Closed)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.one(&salt)?.seal_in_place_separate_tag(nonce, Aad::from(about), body);
        out.extend_from_slice(sealed.map_err(|_| Error::Closed)?.as_ref());
        Ok(out)
    }

    /// Decrypts; `None` when it was sealed under another key or about something else.
    pub(crate) fn open(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != SEAL_VERSION {
            return None;
        }
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len =
            self.one(salt).ok()?.open_in_place(nonce, Aad::from(about), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }

    /// The key for one sealed part.
    fn one(&self, salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey> {
        let info: [&[u8]; 1] = [salt];
        let key = self.seal.expand(&info, &AES_256_GCM).map_err(|_| Error::Closed)?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    }

    /// Authenticates a row.
    pub(crate) fn tag(&self, row: &Row) -> Vec<u8> {
        hmac::sign(&self.tag, &row_frame(row)).as_ref().to_vec()
    }

    /// Whether the row is as it was written.
    pub(crate) fn verify(&self, row: &Row) -> bool {
        hmac::verify(&self.tag, &row_frame(row), &row.tag).is_ok()
    }

    /// A keyed digest of bytes under a label.
    pub(crate) fn digest(&self, label: &str, bytes: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.digest);
        context.update(&frame(&[label.as_bytes()]));
        context.update(bytes);
        format!("hmac-sha256:{}", hex::encode(context.sign().as_ref()))
    }

    pub(crate) fn sign_cursor(&self, text: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hmac::sign(&self.cursor, text).as_ref()) {
            *to = *from;
        }
        short
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", hex::encode(&self.id))
    }
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(from: &Prk, info: &[&[u8]], to: &mut [u8; 32]) -> Result<()> {
    let expanded = from.expand(info, Bytes32).and_then(|okm| okm.fill(to));
    expanded.map_err(|_| Error::Closed)
}

/// Parts, each after its length: no two lists of parts frame to the same bytes.
pub(crate) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        out.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// What a record's sealed part is bound to.
pub(crate) fn sealed_frame(tenant: &str, class: &str, id: Id, version: u64) -> Vec<u8> {
    let version = version.to_be_bytes();
    frame(&[b"record", tenant.as_bytes(), class.as_bytes(), id.as_bytes(), &version])
}

/// What an event's body is bound to.
pub(crate) fn event_frame(tenant: &str, id: Id) -> Vec<u8> {
    frame(&[b"event", tenant.as_bytes(), id.as_bytes()])
}

fn row_frame(row: &Row) -> Vec<u8> {
    let sealed = [u8::from(row.sealed != Sealed::Absent)];
    frame(&[
        b"row",
        row.tenant.as_bytes(),
        row.class.as_bytes(),
        row.id.as_bytes(),
        &row.version.to_be_bytes(),
        &row.time.millis().to_be_bytes(),
        row.meta.as_bytes(),
        &sealed,
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u64) -> (DataKey, Cx) {
        let (cx, _) = bartizan_core::sim::cx(seed);
        (DataKey::new(cx.random(), &Zeroizing::new(cx.random())).expect("a key"), cx)
    }

    #[test]
    fn every_bit_of_a_sealed_part_counts() {
        let (key, cx) = key(1);
        let sealed = key.seal(b"about", b"a prompt", &cx).expect("sealed");
        assert_eq!(key.open(b"about", &sealed).as_deref(), Some(b"a prompt".as_slice()));
        assert_eq!(key.open(b"other", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(b"about", &bent), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(key.open(b"about", &sealed[..len]), None, "{len} bytes");
        }
        assert_ne!(sealed, key.seal(b"about", b"a prompt", &cx).expect("sealed"));
    }

    #[test]
    fn every_field_of_a_row_is_authenticated() {
        let (key, cx) = key(2);
        let mut row = Row {
            tenant: "acme".into(),
            class: "note".into(),
            id: Id::new(&cx),
            time: cx.now(),
            version: 1,
            meta: "{}".into(),
            sealed: Sealed::Absent,
            tag: Vec::new(),
        };
        row.tag = key.tag(&row);
        assert!(key.verify(&row));
        let changes: [fn(&mut Row, &Cx); 8] = [
            |row, _| row.tenant.push('x'),
            |row, _| row.class = "key".into(),
            |row, cx| row.id = Id::new(cx),
            |row, _| row.time = row.time.after(Duration::from_millis(1)),
            |row, _| row.version += 1,
            |row, _| row.meta = "{\"a\":1}".into(),
            |row, _| row.sealed = Sealed::Unread,
            |row, _| row.tag[31] ^= 1,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = row.clone();
            change(&mut changed, &cx);
            assert!(!key.verify(&changed), "change {at}");
        }
    }

    #[test]
    fn a_digest_is_hmac_over_the_framed_label_and_the_bytes() {
        let (key, _) = key(3);
        let framed = [5u64.to_be_bytes().as_slice(), b"label", b"bytes"].concat();
        let expected = hex::encode(hmac::sign(&key.digest, &framed).as_ref());
        assert_eq!(key.digest("label", b"bytes"), format!("hmac-sha256:{expected}"));
        assert_ne!(key.digest("label", b"bytes"), key.digest("labelb", b"ytes"));
    }

    #[tokio::test]
    async fn a_key_that_was_read_before_another_was_forgotten_is_not_kept() {
        let (cx, _) = bartizan_core::sim::cx(5);
        let dir = tempfile::tempdir().expect("a directory");
        let repository = crate::sqlite::Sqlite::open(dir.path()).await.expect("opened");
        let repository: Arc<dyn Repository> = Arc::new(repository);
        let source = Source::File(dir.path().join("key"));
        let vault = Vault::open(repository.clone(), source, &cx).await.expect("opened");
        let tenant = Tenant::default();
        vault.key_or_new(&tenant).await.expect("made");
        let wrapped = repository.data_key("default").await.expect("read").expect("there");
        let before = vault.known().forgotten;
        vault.forget(&tenant);
        vault.remember(&tenant, &wrapped, before).expect("unwrapped");
        assert!(vault.cached(&tenant).is_none(), "it may be the key that was destroyed");
        vault.remember(&tenant, &wrapped, before + 1).expect("unwrapped");
        assert!(vault.cached(&tenant).is_some());
    }

    #[test]
    fn hkdf_and_hmac_give_the_published_values() {
        // RFC 5869, appendix A.1: the PRK of test case 1 expands to these first 32 bytes.
        let prk =
            hex::decode::<32>("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let prk = Prk::new_less_safe(HKDF_SHA256, &prk.expect("hex"));
        let info = hex::decode::<10>("f0f1f2f3f4f5f6f7f8f9").expect("hex");
        let mut out = [0; 32];
        derive(&prk, &[&info], &mut out).expect("derives");
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        assert_eq!(hex::encode(&out), expected);
        // RFC 4231, test case 2.
        let mac =
            hmac::sign(&hmac::Key::new(HMAC_SHA256, b"Jefe"), b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac.as_ref()), expected);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 0..2000), about in ".{0,20}", seed in any::<u64>()) {
            let (key, cx) = key(seed);
            let sealed = key.seal(about.as_bytes(), &plain, &cx).expect("sealed");
            prop_assert_eq!(key.open(about.as_bytes(), &sealed), Some(plain));
        }

        #[test]
        fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(key(4).0.open(b"about", &bytes), None);
        }

        #[test]
        fn frames_of_different_parts_differ(a in proptest::collection::vec(".{0,4}", 0..4), b in proptest::collection::vec(".{0,4}", 0..4)) {
            let framed = |parts: &[String]| frame(&parts.iter().map(String::as_bytes).collect::<Vec<_>>());
            prop_assert_eq!(a == b, framed(&a) == framed(&b));
        }
    }
}
