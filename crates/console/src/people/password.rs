//! Passwords: what is asked of one, and how it rests.
//!
//! Sources: RFC 9106 (Argon2); OWASP Password Storage Cheat Sheet (argon2id with
//! m=19456, t=2, p=1); NIST SP 800-63B, section 5.1.1 (length and commonness, no rules of
//! composition, NFKC).

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::StatusCode;
use bartizan_core::Cx;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::codes;
use crate::Failure;

/// What a password has at least and at most, in characters.
pub(crate) const CHARS_MIN: usize = 12;
pub(crate) const CHARS_MAX: usize = 256;
/// KiB of memory, passes over it, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// LIMIT: what a stored hash may ask for, in KiB and passes; a record that asks for more
/// was not made by us.
const COST_MAX: (u32, u32, u32) = (1 << 18, 16, 4);
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// LIMIT: hashes that are made at once: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE_MAX: usize = 2;
/// LIMIT: who waits for one. More than this is a flood, and is told to come back.
const WAITING_MAX: usize = 64;
/// LIMIT: fewer different characters than this are as good as none.
const DIFFERENT_MIN: usize = 5;

/// What people take when a password has to be long: what is left of it without digits
/// and signs at its ends. Ours; the commonest of the common in a few languages.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "motdepasse",
    "contrasena",
    "senha",
    "qwerty",
    "qwertz",
    "azerty",
    "qwertyuiop",
    "qwertyuiopasdfghjkl",
    "asdfghjkl",
    "zxcvbnm",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "bartizan",
    "changeme",
    "default",
    "secret",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
    "batman",
    "master",
    "shadow",
    "sunshine",
    "princess",
    "trustno",
    "whatever",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijklmnop",
    "abc",
    "test",
    "testtest",
    "guest",
    "root",
    "toor",
    "login",
    "passw",
    "passwd",
    "pass",
    "hello",
    "helloworld",
    "company",
    "security",
    "summer",
    "winter",
    "spring",
    "autumn",
    "january",
    "correcthorsebatterystaple",
    "passwordpassword",
    "adminadmin",
    "qwertyqwerty",
    "welcomewelcome",
    "letmeinletmein",
    "iloveyouiloveyou",
];

/// What is wrong with a new password of this person; nothing if nothing is.
pub(crate) fn problem(password: &str, name: &str) -> Option<String> {
    let chars = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) {
        return Some(format!("a password has {CHARS_MIN} to {CHARS_MAX} characters, not {chars}"));
    }
    let lower = password.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    let bare = lower.trim_matches(|c: char| !c.is_alphabetic());
    let plain: String = bare.chars().map(undisguised).collect();
    let common = bare.is_empty() || [bare, plain.as_str()].iter().any(|text| COMMON.contains(text));
    if different.len() < DIFFERENT_MIN || common || is_run(&lower) {
        return Some(
            "this password is among the first that are tried; take a longer sentence of your own"
                .to_owned(),
        );
    }
    let name = name.to_lowercase();
    if bare == name
        || (name.chars().count() >= 4 && lower.replace(&name, "").chars().count() < CHARS_MIN / 2)
    {
        return Some(
            "this password is hardly more than your name; take a sentence of your own".to_owned(),
        );
    }
    None
}

/// What `p4$$w0rd` stands for.
fn undisguised(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Whether every character follows the one before, up or down, as in `abcdefghijkl`.
fn is_run(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps: Vec<i64> = codes.iter().zip(codes.iter().skip(1)).map(|(a, b)| b - a).collect();
    [-1, 0, 1].iter().any(|step| steps.iter().all(|one| one == step))
}

/// Makes and checks hashes, a few at a time and off the event loop.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }
}

impl Passwords {
    /// The form in which a password rests (the PHC string format).
    pub(crate) async fn hash(&self, cx: &Cx, password: &str) -> Result<String, Failure> {
        let salt: [u8; SALT_BYTES] = cx.random();
        let hash = self.work(password, salt.to_vec(), COST).await?;
        let (m, t, p) = COST;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}"))
    }

    /// Whether it is the password. Where there is none to compare with, the same work is
    /// done, so that the time does not tell.
    pub(crate) async fn verify(
        &self,
        cx: &Cx,
        stored: Option<&str>,
        password: &str,
    ) -> Result<bool, Failure> {
        let known = stored.and_then(parse);
        let (cost, salt) = known
            .as_ref()
            .map_or_else(|| (COST, vec![0; SALT_BYTES]), |known| (known.cost, known.salt.clone()));
        let made = codes::hex(&self.work(password, salt, cost).await?);
        let expected = known.as_ref().map(|known| codes::hex(&known.hash)).unwrap_or_default();
        Ok(codes::same(cx, &made, &expected) && known.is_some())
    }

    async fn work(
        &self,
        password: &str,
        salt: Vec<u8>,
        (m, t, p): (u32, u32, u32),
    ) -> Result<[u8; HASH_BYTES], Failure> {
        let busy = || {
            let message = "too many people sign in at this moment; try again in a few seconds";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        };
        // Longer ones are cut: none that long was ever accepted.
        let password: String = password.chars().take(CHARS_MAX + 1).nfkc().collect();
        let _waits = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| busy())?;
        let made = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let params = Params::new(m, t, p, Some(HASH_BYTES))?;
            let mut out = [0; HASH_BYTES];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                password.as_bytes(),
                &salt,
                &mut out,
            )?;
            Ok::<_, argon2::Error>(out)
        });
        let failed = |problem: String| {
            let message = format!("the password cannot be worked on: {problem}");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
        };
        made.await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))
    }
}

struct Stored {
    cost: (u32, u32, u32),
    salt: Vec<u8>,
    hash: Vec<u8>,
}

fn parse(text: &str) -> Option<Stored> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = cost
        .split(',')
        .zip(["m=", "t=", "p="])
        .map(|(text, name)| text.strip_prefix(name)?.parse::<u32>().ok());
    let cost = (costs.next()??, costs.next()??, costs.next()??);
    let within = cost.0 <= COST_MAX.0 && cost.1 <= COST_MAX.1 && cost.2 <= COST_MAX.2;
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    (parts.next().is_none() && within && hash.len() == HASH_BYTES).then_some(Stored {
        cost,
        salt,
        hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_uncommon_is_all_that_is_asked() {
        for fine in [
            "correct horse battery",
            "ein satz, den nur ich kenne",
            "zwölf Zeichen",
            "Tr0ub4dor&3-and-more",
            "日本語のとても長い合言葉です",
        ] {
            assert_eq!(problem(fine, "ada"), None, "{fine}");
        }
        for (poor, says) in [
            ("short", "12 to 256"),
            ("elevenchars", "12 to 256"),
            ("password1234", "first that are tried"),
            ("P4$$w0rd!2026", "first that are tried"),
            ("123456789012", "first that are tried"),
            ("aaaaaaaaaaaaaaa", "first that are tried"),
            ("abababababab", "first that are tried"),
            ("abcdefghijklmnopqr", "first that are tried"),
            ("Qwertyuiop123!", "first that are tried"),
            ("lovelace2026!", "hardly more"),
        ] {
            let said = problem(poor, "lovelace").unwrap_or_default();
            assert!(said.contains(says), "{poor}: {said}");
        }
        assert!(problem(&"é-1".repeat(86), "ada").is_some(), "258 characters");
        assert_eq!(problem(&"véry-1".repeat(42), "ada"), None, "252 characters");
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let passwords = Passwords::default();
        let stored = passwords.hash(&cx, "correct horse battery").await.expect("is made");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let is = async |stored: Option<&str>, password: &str| {
            passwords.verify(&cx, stored, password).await.expect("is checked")
        };
        assert!(is(Some(&stored), "correct horse battery").await);
        for other in
            ["correct horse batterz", "", "Correct horse battery", "correct horse battery "]
        {
            assert!(!is(Some(&stored), other).await, "{other}");
        }
        assert!(!is(None, "correct horse battery").await);
        for spoilt in [
            "",
            "$argon2id$v=19$m=99999999,t=2,p=1$AAAA$AAAA",
            "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA",
        ] {
            assert!(!is(Some(spoilt), "").await, "{spoilt}");
        }
    }

    #[tokio::test]
    async fn the_same_characters_written_otherwise_are_the_same_password() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let passwords = Passwords::default();
        let stored = passwords.hash(&cx, "schlüssel über alles").await.expect("is made");
        let apart = "schlu\u{308}ssel u\u{308}ber alles";
        assert!(passwords.verify(&cx, Some(&stored), apart).await.expect("is checked"));
    }

    #[tokio::test]
    async fn a_hash_is_as_the_reference_makes_it() {
        // RFC 9106 has no vector without secret and data; this is of the reference
        // implementation's own tests (phc-winner-argon2, test.c: version 0x13, argon2id).
        let params = Params::new(256, 2, 1, Some(32)).expect("parameters");
        let mut out = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"password", b"somesalt", &mut out)
            .expect("is made");
        assert_eq!(
            codes::hex(&out),
            "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"
        );
    }

    #[tokio::test]
    async fn a_flood_is_told_to_come_back() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let passwords = Passwords::default();
        let held = passwords.waiting.clone().acquire_many_owned(64).await.expect("is free");
        let refused = passwords.verify(&cx, None, "x").await.expect_err("is refused");
        assert_eq!((refused.status.as_u16(), refused.code), (503, "busy"));
        drop(held);
        assert!(!passwords.verify(&cx, None, "x").await.expect("is checked"));
    }
}
