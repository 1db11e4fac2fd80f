//! The second factor: codes of six digits by time.
//!
//! Source: RFC 6238 (TOTP) over RFC 4226 (HOTP). Authenticator apps know SHA-1, six
//! digits and 30 seconds, so that is what ours have.

use bartizan_core::{Cx, Timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::codes;

const STEP_MS: i64 = 30_000;
const DIGITS: u32 = 6;
/// How far a person's clock may be apart, in steps.
const APART_MAX: i64 = 1;
/// RFC 4226 recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// A person's second factor. It rests sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totp {
    /// In hexadecimal.
    secret: String,
    /// The last step whose code was used: none up to it counts again.
    used: i64,
}

impl Totp {
    pub(crate) fn new(cx: &Cx) -> Self {
        Self { secret: codes::hex(&cx.random::<SECRET_BYTES>()), used: i64::MIN }
    }

    /// What a person types into an app that reads no picture.
    pub(crate) fn shown(&self) -> String {
        codes::base32(&self.bytes())
    }

    /// What an app reads (the "Key Uri Format" that authenticators share).
    pub(crate) fn uri(&self, name: &str) -> String {
        let label: String = name.bytes().map(percent).collect();
        format!(
            "otpauth://totp/Bartizan:{label}?secret={}&issuer=Bartizan&algorithm=SHA1&digits={DIGITS}&period=30",
            self.shown()
        )
    }

    /// Takes a code, once: it and those before it do not count again. Says whether it is right.
    pub(crate) fn take(&mut self, cx: &Cx, code: &str) -> bool {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let now = step(cx.now());
        let secret = self.bytes();
        let mut found = None;
        // All are compared, so that the time does not tell which.
        for step in now - APART_MAX..=now + APART_MAX {
            let right = codes::same(
                cx,
                &at(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret, step, DIGITS),
                &code,
            );
            if right && step > self.used {
                found = Some(step);
            }
        }
        self.used = found.unwrap_or(self.used);
        found.is_some()
    }

    fn bytes(&self) -> Vec<u8> {
        let digits: Vec<char> = self.secret.chars().collect();
        let byte = |pair: &[char]| {
            let text: String = pair.iter().collect();
            u8::from_str_radix(&text, 16).unwrap_or(0)
        };
        digits.chunks(2).map(byte).collect()
    }
}

fn step(at: Timestamp) -> i64 {
    at.millis().div_euclid(STEP_MS)
}

fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    }
}

/// The code of a step.
fn at(algorithm: hmac::Algorithm, secret: &[u8], step: i64, digits: u32) -> String {
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), &step.to_be_bytes());
    let tag = tag.as_ref();
    // RFC 4226, section 5.3: the last four bits say where to cut.
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 15);
    let cut = tag.iter().skip(offset).take(4).fold(0u32, |cut, byte| cut << 8 | u32::from(*byte));
    let width = usize::try_from(digits).unwrap_or(6);
    format!("{:0width$}", (cut & 0x7fff_ffff) % 10u32.pow(digits))
}

/// The code that an app shows now, for tests.
#[cfg(test)]
pub(crate) fn now(cx: &Cx, secret: &str) -> String {
    let totp = Totp { secret: secret.to_owned(), used: 0 };
    at(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &totp.bytes(), step(cx.now()), DIGITS)
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;

    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B.
        let seed = |len: usize| "1234567890".chars().cycle().take(len).collect::<String>();
        for (time, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            let step = step(Timestamp::from_millis(time * 1000));
            let of = |algorithm, len| at(algorithm, seed(len).as_bytes(), step, 8);
            assert_eq!(of(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20), sha1);
            assert_eq!(of(hmac::HMAC_SHA256, 32), sha256);
            assert_eq!(of(hmac::HMAC_SHA512, 64), sha512);
        }
    }

    #[test]
    fn a_code_counts_once_and_one_step_to_each_side() {
        let (cx, clock) = sim::cx(3);
        let mut totp = Totp::new(&cx);
        let code = |cx: &Cx| now(cx, &totp.secret.clone());
        let first = code(&cx);
        clock.advance_ms(STEP_MS);
        let second = code(&cx);
        clock.advance_ms(STEP_MS);
        let third = code(&cx);
        clock.advance_ms(-STEP_MS);
        // Now is the second step.
        assert!(totp.take(&cx, &first), "one step late");
        assert!(!totp.take(&cx, &first), "replayed");
        let spaced: String = third.chars().flat_map(|c| [c, ' ']).collect();
        assert!(totp.take(&cx, &spaced), "one step early");
        assert!(!totp.take(&cx, &second), "older than one that was used");
        clock.advance_ms(10 * STEP_MS);
        assert!(!totp.take(&cx, &third), "stale");
        for wrong in ["", "0", "abcdef", "１２３４５６", &"1".repeat(10_000)] {
            assert!(!totp.take(&cx, wrong), "{wrong:.20}");
        }
    }

    #[test]
    fn an_app_can_read_it() {
        let (cx, _) = sim::cx(3);
        let uri = Totp::new(&cx).uri("ada+1@example.com");
        assert!(uri.starts_with("otpauth://totp/Bartizan:ada%2B1%40example.com?secret="), "{uri}");
        let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next());
        assert_eq!(secret.map(str::len), Some(32));
    }
}
