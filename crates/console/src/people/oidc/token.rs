//! An ID token, checked as OpenID Connect Core 1.0, section 3.1.3.7 asks.

use std::time::Duration;

use bartizan_core::{Timestamp, json};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::{
    Refused,
    jwk::{Algorithm, Key},
};

/// LIMIT: a token, in bytes. One with two hundred groups is a tenth of it.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// How far the provider's clock may be apart.
const APART_MAX: Duration = Duration::from_secs(60);
/// A token is taken right after it is made: one that is older was kept.
const AGE_MAX: Duration = Duration::from_secs(600);
/// LIMIT: of Core, section 2: 255 characters of ASCII.
const SUBJECT_BYTES_MAX: usize = 255;

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
    /// The access token that came with it.
    pub(super) access: Option<&'a str>,
}

/// A token whose signature is still to be checked.
#[derive(Debug)]
pub(super) struct Unchecked<'a> {
    message: &'a str,
    signature: Vec<u8>,
    pub(super) algorithm: Algorithm,
    /// Which key signed it, as it says.
    pub(super) key: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> Unchecked<'a> {
    /// Takes a token apart.
    pub(super) fn read(token: &'a str) -> Result<Self, Refused> {
        let malformed = || Refused::new("oidc_malformed", "the provider's token cannot be read");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed());
        }
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        let part = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            match json::parse(&bytes, TOKEN_BYTES_MAX).ok()? {
                Value::Object(map) => Some(map),
                _ => None,
            }
        };
        let header = part(header).ok_or_else(malformed)?;
        // Extensions that must be understood: we know none.
        if header.contains_key("crit") {
            return Err(malformed());
        }
        let named = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm = Algorithm::parse(named).ok_or_else(|| {
            let shown = json::clip(named, 32);
            Refused::new(
                "oidc_algorithm",
                format!("the provider signed with `{shown}`; RS256, ES256 and EdDSA are taken"),
            )
        })?;
        Ok(Self {
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?,
            algorithm,
            key: header.get("kid").and_then(Value::as_str).map(str::to_owned),
            claims: part(claims).ok_or_else(malformed)?,
        })
    }

    /// The keys that may have signed it.
    pub(super) fn candidates<'k>(&self, keys: &'k [Key]) -> Vec<&'k Key> {
        let fits = |key: &&Key| {
            key.algorithm == self.algorithm && (self.key.is_none() || key.id == self.key)
        };
        keys.iter().filter(fits).collect()
    }

    /// The claims, once the signature and what they must say were checked.
    pub(super) fn check(
        self,
        keys: &[Key],
        expected: &Expected<'_>,
    ) -> Result<Map<String, Value>, Refused> {
        let candidates = self.candidates(keys);
        if candidates.is_empty() {
            return Err(Refused::new(
                "oidc_key",
                "the provider signed with a key that it does not publish",
            ));
        }
        if !candidates.iter().any(|key| key.signed(self.message.as_bytes(), &self.signature)) {
            return Err(Refused::new(
                "oidc_signature",
                "the signature of the provider's token is not right",
            ));
        }
        claims(&self.claims, expected)?;
        if let Some(problem) = self.access_problem(expected) {
            return Err(problem);
        }
        Ok(self.claims)
    }

    /// The access token must be the one that this token came with (section 3.1.3.8).
    fn access_problem(&self, expected: &Expected<'_>) -> Option<Refused> {
        let said = self.claims.get("at_hash")?;
        // For EdDSA the hash is another, and providers differ on which.
        if self.algorithm == Algorithm::EdDsa {
            return None;
        }
        let hash = digest(&SHA256, expected.access.unwrap_or_default().as_bytes());
        let half: Vec<u8> = hash.as_ref().iter().take(16).copied().collect();
        let right = said.as_str() == Some(URL_SAFE_NO_PAD.encode(half).as_str());
        (!right).then(|| {
            Refused::new(
                "oidc_signature",
                "the access token is not the one that belongs to the ID token",
            )
        })
    }
}

fn claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Refused> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(Refused::new("oidc_issuer", "the token is another provider's"));
    }
    audience(claims, expected.client)?;
    if text("nonce") != Some(expected.nonce) {
        return Err(Refused::new("oidc_nonce", "the token belongs to another sign-in"));
    }
    time(claims, expected.now)?;
    let subject = text("sub").unwrap_or_default();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || !subject.is_ascii() {
        return Err(Refused::new("oidc_subject", "the token does not say whose it is"));
    }
    Ok(())
}

fn audience(claims: &Map<String, Value>, client: &str) -> Result<(), Refused> {
    let other = || Refused::new("oidc_audience", "the token is for another application");
    let all: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Err(other()),
    };
    let party = claims.get("azp").map(|party| party.as_str().unwrap_or_default());
    let ours = match party {
        Some(party) => party == client,
        // Of several, one must be named as the one that asked.
        None => all.len() == 1,
    };
    if all.contains(&client) && ours { Ok(()) } else { Err(other()) }
}

fn time(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refused> {
    // Seconds since 1970, and in JSON they may have a fraction.
    let at = |name: &str| {
        let seconds = claims.get(name)?.as_f64().filter(|at| at.is_finite() && at.abs() < 1e12)?;
        // Bounded above.
        let millis = (seconds * 1000.0) as i64;
        Some(Timestamp::from_millis(millis))
    };
    let stale = || {
        Refused::new(
            "oidc_expired",
            "the token has expired, or the clocks are apart; check the time on both machines, and sign in again",
        )
    };
    let (Some(expires), Some(issued)) = (at("exp"), at("iat")) else {
        return Err(Refused::new(
            "oidc_malformed",
            "the token does not say from when to when it holds",
        ));
    };
    let begun =
        !claims.contains_key("nbf") || at("nbf").is_some_and(|at| at <= now.after(APART_MAX));
    let holds = now < expires.after(APART_MAX)
        && issued <= now.after(APART_MAX)
        && now <= issued.after(AGE_MAX);
    if holds && begun { Ok(()) } else { Err(stale()) }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
    };
    use serde_json::json;

    use super::*;
    use crate::people::oidc::jwk;

    const NOW: i64 = 1_767_225_600;

    fn b64(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A signer and its published key.
    struct Signer {
        pair: Pair,
        jwk: Value,
    }

    enum Pair {
        Ec(EcdsaKeyPair),
        Ed(Ed25519KeyPair),
    }

    impl Signer {
        fn ec() -> Self {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key");
            let point = pair.public_key().as_ref().to_vec();
            let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])});
            Self { pair: Pair::Ec(pair), jwk }
        }

        fn ed() -> Self {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(pair.public_key().as_ref())});
            Self { pair: Pair::Ed(pair), jwk }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let message = format!(
                "{}.{}",
                b64(header.to_string().as_bytes()),
                b64(claims.to_string().as_bytes())
            );
            let signature = match &self.pair {
                Pair::Ec(pair) => pair
                    .sign(&SystemRandom::new(), message.as_bytes())
                    .expect("signs")
                    .as_ref()
                    .to_vec(),
                Pair::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            };
            format!("{message}.{}", b64(&signature))
        }
    }

    fn keys(signers: &[&Signer]) -> Vec<Key> {
        let all: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
        jwk::keys(&json!({"keys": all})).expect("a set")
    }

    fn good() -> Value {
        json!({"iss": "https://login.example", "aud": "bartizan", "sub": "u-1", "nonce": "n-1", "iat": NOW - 5, "exp": NOW + 300})
    }

    fn with(changes: Value) -> Value {
        let mut claims = good();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name.as_str()] = value.clone(),
            }
        }
        claims
    }

    fn check(token: &str, keys: &[Key]) -> Result<Map<String, Value>, &'static str> {
        let expected = Expected {
            issuer: "https://login.example",
            client: "bartizan",
            nonce: "n-1",
            now: Timestamp::from_millis(NOW * 1000),
            access: Some("access-1"),
        };
        let checked = Unchecked::read(token).and_then(|token| token.check(keys, &expected));
        checked.map_err(|refused| refused.code)
    }

    #[test]
    fn a_right_token_is_taken_by_either_algorithm_with_and_without_a_key_s_name() {
        let (ec, ed) = (Signer::ec(), Signer::ed());
        let keys = keys(&[&ec, &ed]);
        for (signer, alg, kid) in [(&ec, "ES256", "ec"), (&ed, "EdDSA", "ed")] {
            for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg})] {
                let claims = check(&signer.sign(&header, &good()), &keys).expect("is right");
                assert_eq!(claims["sub"], "u-1");
            }
        }
        let at_hash = b64(&digest(&SHA256, b"access-1").as_ref()[..16]);
        let header = json!({"alg": "ES256", "kid": "ec"});
        for right in [
            with(json!({"aud": ["bartizan"]})),
            with(json!({"aud": ["bartizan", "other"], "azp": "bartizan"})),
            with(json!({"at_hash": at_hash})),
            with(json!({"exp": NOW - 59})),
            with(json!({"iat": NOW + 59, "nbf": NOW + 59})),
            with(json!({"iat": (NOW as f64) - 0.5})),
        ] {
            assert!(check(&ec.sign(&header, &right), &keys).is_ok(), "{right}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_refused_by_its_name() {
        let (ec, other) = (Signer::ec(), Signer::ec());
        let keys = keys(&[&ec]);
        let header = json!({"alg": "ES256", "kid": "ec"});
        for (changes, code) in [
            (json!({"iss": "https://evil.example"}), "oidc_issuer"),
            (json!({"iss": "https://login.example/"}), "oidc_issuer"),
            (json!({"iss": null}), "oidc_issuer"),
            (json!({"aud": "other"}), "oidc_audience"),
            (json!({"aud": ["other"]}), "oidc_audience"),
            (json!({"aud": []}), "oidc_audience"),
            (json!({"aud": null}), "oidc_audience"),
            (json!({"aud": {"bartizan": true}}), "oidc_audience"),
            (json!({"aud": ["bartizan", "other"]}), "oidc_audience"),
            (json!({"azp": "other"}), "oidc_audience"),
            (json!({"azp": 7}), "oidc_audience"),
            (json!({"nonce": "n-2"}), "oidc_nonce"),
            (json!({"nonce": null}), "oidc_nonce"),
            (json!({"exp": NOW - 60}), "oidc_expired"),
            (json!({"iat": NOW + 61}), "oidc_expired"),
            (json!({"iat": NOW - 601}), "oidc_expired"),
            (json!({"nbf": NOW + 61}), "oidc_expired"),
            (json!({"nbf": "now"}), "oidc_expired"),
            (json!({"exp": null}), "oidc_malformed"),
            (json!({"exp": "2030"}), "oidc_malformed"),
            (json!({"exp": 1e300}), "oidc_malformed"),
            (json!({"iat": null}), "oidc_malformed"),
            (json!({"sub": ""}), "oidc_subject"),
            (json!({"sub": null}), "oidc_subject"),
            (json!({"sub": "é"}), "oidc_subject"),
            (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "oidc_signature"),
        ] {
            let token = ec.sign(&header, &with(changes.clone()));
            assert_eq!(check(&token, &keys), Err(code), "{changes}");
        }
        let foreign = other.sign(&header, &good());
        assert_eq!(check(&foreign, &keys), Err("oidc_signature"));
        let unknown = ec.sign(&json!({"alg": "ES256", "kid": "older"}), &good());
        assert_eq!(check(&unknown, &keys), Err("oidc_key"));
        let confused = ec.sign(&json!({"alg": "RS256", "kid": "ec"}), &good());
        assert_eq!(check(&confused, &keys), Err("oidc_key"), "a key is for one algorithm");
    }

    #[test]
    fn tokens_that_need_no_key_or_a_shared_one_are_refused() {
        let ec = Signer::ec();
        let keys = keys(&[&ec]);
        for alg in ["none", "None", "HS256", "HS512", "ES384", "RS512", "PS256", "", "es256"] {
            let token = ec.sign(&json!({"alg": alg, "kid": "ec"}), &good());
            assert_eq!(check(&token, &keys), Err("oidc_algorithm"), "{alg}");
        }
        let message =
            format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(good().to_string().as_bytes()));
        assert_eq!(check(&message, &keys), Err("oidc_algorithm"));
        // The public key as a shared secret: the classic confusion.
        let message = format!(
            "{}.{}",
            b64(br#"{"alg":"HS256","kid":"ec"}"#),
            b64(good().to_string().as_bytes())
        );
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, ec.jwk.to_string().as_bytes());
        let tag = ring::hmac::sign(&secret, message.as_bytes());
        assert_eq!(
            check(&format!("{message}.{}", b64(tag.as_ref())), &keys),
            Err("oidc_algorithm")
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let ec = Signer::ec();
        let keys = keys(&[&ec]);
        let header = json!({"alg": "ES256", "kid": "ec"});
        let good = ec.sign(&header, &good());
        let crit = ec.sign(&json!({"alg": "ES256", "kid": "ec", "crit": ["x"]}), &self::good());
        let (head, rest) = good.split_once('.').expect("three parts");
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            head.to_owned(),
            format!("{good}.x"),
            format!("{head}.{rest}="),
            format!("{}.{rest}", b64(br#"{"alg":"ES256","alg":"none"}"#)),
            format!("{}.{rest}", b64(b"[]")),
            format!("{}.{rest}", b64("[".repeat(1000).as_bytes())),
            format!("{head}.{}", "A".repeat(100_000)),
            crit,
        ] {
            let refused = check(&token, &keys).expect_err("is refused");
            assert!(
                ["oidc_malformed", "oidc_algorithm"].contains(&refused),
                "{token:.60}: {refused}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_in_an_answer(text in "[A-Za-z0-9_.-]{0,200}", header in ".{0,60}", claims in ".{0,60}") {
            for token in [text, format!("{}.{}.AAAA", b64(header.as_bytes()), b64(claims.as_bytes()))] {
                proptest::prop_assert!(check(&token, &[]).is_err());
            }
        }
    }
}
