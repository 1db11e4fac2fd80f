//! Who calls: the key from the headers, the client's address behind trusted
//! proxies, and the end user on whose behalf the application speaks.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// The largest name of an end user, in bytes; longer ones are cut, so that a
/// client cannot fill the limiter's memory with names.
const END_USER_BYTES_MAX: usize = 256;
/// The longest name of a model that is taken for one, in bytes.
const MODEL_BYTES_MAX: usize = 128;
/// Proxies in a row that are looked through.
const HOPS_MAX: usize = 16;

/// A network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?))
            }
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => prefix_eq(
                u128::from(net.to_bits()) << 96,
                u128::from(ip.to_bits()) << 96,
                self.bits,
            ),
            (IpAddr::V6(net), IpAddr::V6(ip)) => prefix_eq(net.to_bits(), ip.to_bits(), self.bits),
            _ => false,
        }
    }
}

fn prefix_eq(a: u128, b: u128, bits: u8) -> bool {
    bits == 0 || (a ^ b) >> (128 - u32::from(bits)) == 0
}

/// The key that a request carries, in any of the providers' ways.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let own =
        ["x-api-key", "api-key"].into_iter().find_map(|name| headers.get(name)?.to_str().ok());
    bearer.or(own)
}

/// The client's address: the nearest one that is no trusted proxy.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let forwarded =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<IpAddr> = forwarded
        .flat_map(|line| line.split(','))
        .map_while(|hop| hop.trim().parse().ok())
        .collect();
    hops.into_iter().rev().take(HOPS_MAX).find(|hop| !is_trusted(*hop)).unwrap_or(peer)
}

/// The end user's name: from the route's header, else from the body's own field.
pub fn end_user(headers: &HeaderMap, header: Option<&str>, body: Option<&str>) -> Option<String> {
    let from_header = header.and_then(|name| headers.get(name)?.to_str().ok());
    let name = from_header.or(body)?.trim();
    (!name.is_empty()).then(|| bartizan_core::json::clip(name, END_USER_BYTES_MAX).to_owned())
}

/// Whether a text could be a model's name, as all providers form them.
pub(crate) fn is_model_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    text.len() <= MODEL_BYTES_MAX && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn networks_hold_their_addresses() {
        let ten = Network::parse("10.0.0.0/8").expect("valid");
        assert!(ten.contains("10.255.0.1".parse().expect("ip")));
        assert!(ten.contains("::ffff:10.0.0.1".parse().expect("ip")));
        assert!(!ten.contains("11.0.0.1".parse().expect("ip")));
        assert!(Network::parse("::/0").expect("valid").contains("::1".parse().expect("ip")));
        assert!(!Network::parse("::/0").expect("valid").contains("1.1.1.1".parse().expect("ip")));
        for bad in ["", "10.0.0.0/33", "x", "::/129"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let peer: IpAddr = "10.0.0.1".parse().expect("ip");
        let trusted = [Network::parse("10.0.0.0/8").expect("valid")];
        let forged = headers(&[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7")]);
        assert_eq!(client_address(peer, &forged, &[]), peer);
        assert_eq!(client_address(peer, &forged, &trusted).to_string(), "203.0.113.9");
        assert_eq!(client_address(peer, &headers(&[]), &trusted), peer);
    }

    #[test]
    fn a_token_is_read_as_either_provider_sends_it() {
        assert_eq!(token(&headers(&[("authorization", "Bearer bz_a")])), Some("bz_a"));
        assert_eq!(token(&headers(&[("authorization", "bearer bz_a")])), Some("bz_a"));
        assert_eq!(token(&headers(&[("x-api-key", "bz_b")])), Some("bz_b"));
        assert_eq!(token(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(token(&headers(&[])), None);
    }

    #[test]
    fn a_models_name_is_no_sentence() {
        for name in ["gpt-4o", "ft:gpt-4o:acme::A1", "meta-llama/Llama-3.1-8B", "gemini@001"] {
            assert!(is_model_name(name), "{name}");
        }
        for text in ["say hello", "m1\n", "modèle", "a`b", &"m".repeat(129)] {
            assert!(!is_model_name(text), "{text}");
        }
    }

    #[test]
    fn an_end_user_is_named_by_header_before_body() {
        let named = headers(&[("x-user", "ann")]);
        assert_eq!(end_user(&named, Some("x-user"), Some("bob")).as_deref(), Some("ann"));
        assert_eq!(end_user(&named, None, Some("bob")).as_deref(), Some("bob"));
        assert_eq!(end_user(&named, Some("x-other"), None), None);
        assert_eq!(
            end_user(&headers(&[]), None, Some(&"x".repeat(999))).map(|u| u.len()),
            Some(256)
        );
    }
}
