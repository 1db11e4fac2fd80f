//! Which addresses may be reached: the public ones, and those that the operator lists.
//!
//! Source: IANA's registries of special-purpose addresses for IPv4 and IPv6
//! (RFC 6890, as updated), and the metadata addresses that cloud providers document.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::Error;

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Public,
    Loopback,
    Private,
    LinkLocal,
    /// The service that hands out a virtual machine's identity and credentials.
    Metadata,
    /// For documentation, tests, groups, or nothing yet.
    Reserved,
}

impl Kind {
    /// What must be listed so that an address of this kind may be reached.
    pub(crate) const fn listed_by(self) -> &'static str {
        match self {
            Self::Metadata => "address itself",
            _ => "host or its network",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a metadata service's address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// AWS, Azure, Google, Oracle and others; AWS ECS tasks; Alibaba; Azure's host agent; Oracle's other.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// AWS over IPv6, and its ECS and EKS agents; Google over IPv6.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x170),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The special blocks of IPv4, the narrower before the wider.
const SPECIAL_V4: &[(Ipv4Addr, u32, Kind)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Kind::Loopback), // "this network": Linux connects it to itself
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Private), // shared by carriers, RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 3, Kind::Reserved), // groups, and the rest up to broadcast
];

/// The special blocks of IPv6. Beyond them only 2000::/3 is public.
const SPECIAL_V6: &[(Ipv6Addr, u32, Kind)] = &[
    (Ipv6Addr::LOCALHOST, 128, Kind::Loopback),
    (Ipv6Addr::UNSPECIFIED, 128, Kind::Loopback),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Kind::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Kind::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Kind::Private), // site-local, RFC 3879
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Kind::Reserved), // protocols, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Kind::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Kind::Reserved),
];

/// What an address is good for, seen through the ways of writing IPv4 as IPv6.
pub fn kind_of(address: IpAddr) -> Kind {
    match plain(address) {
        IpAddr::V4(v4) if METADATA_V4.contains(&v4) => Kind::Metadata,
        IpAddr::V6(v6) if METADATA_V6.contains(&v6) => Kind::Metadata,
        IpAddr::V4(v4) => {
            let block = SPECIAL_V4.iter().find(|(net, bits, _)| within_v4(v4, *net, *bits));
            block.map_or(Kind::Public, |(_, _, kind)| *kind)
        }
        IpAddr::V6(v6) => {
            let block = SPECIAL_V6.iter().find(|(net, bits, _)| within_v6(v6, *net, *bits));
            let unicast = within_v6(v6, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
            let rest = if unicast { Kind::Public } else { Kind::Reserved };
            block.map_or(rest, |(_, _, kind)| *kind)
        }
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped and compatible (RFC 4291),
/// translated (RFC 6052, 8215's block is refused as reserved), 6to4 (RFC 3056).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let join = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => join(g, h),
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => join(g, h),
        [0x2002, ..] => join(b, c),
        _ => address,
    }
}

fn within_v4(address: Ipv4Addr, net: Ipv4Addr, bits: u32) -> bool {
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    address.to_bits() & mask == net.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, net: Ipv6Addr, bits: u32) -> bool {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    address.to_bits() & mask == net.to_bits() & mask
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    net: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (net, bits) =
            text.split_once('/').map_or((text, None), |(net, bits)| (net, Some(bits)));
        let net: IpAddr = net.trim_matches(['[', ']']).parse().ok()?;
        let most = if net.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Self { net, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.net, address) {
            (IpAddr::V4(net), IpAddr::V4(v4)) => within_v4(v4, net, self.bits),
            (IpAddr::V6(net), IpAddr::V6(v6)) => within_v6(v6, net, self.bits),
            _ => false,
        }
    }
}

/// What the operator lists: hosts and networks that may be reached although they
/// are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    hosts: Vec<String>,
    networks: Vec<Network>,
}

impl Allow {
    /// Reads hosts (`model.internal`), addresses (`10.1.2.3`) and networks (`10.0.0.0/8`).
    ///
    /// # Errors
    /// Names the entry that is none of these.
    pub fn new<S: AsRef<str>>(entries: &[S]) -> Result<Self, Error> {
        let mut allow = Self::default();
        for entry in entries.iter().map(AsRef::as_ref) {
            if let Some(network) = Network::parse(entry) {
                allow.networks.push(network);
            } else if is_host(entry) {
                allow.hosts.push(canonical(entry));
            } else {
                return Err(Error::Allow { entry: entry.to_owned() });
            }
        }
        Ok(allow)
    }

    /// Whether the host itself is listed, as a name or as an address.
    pub fn lists(&self, host: &str) -> bool {
        let host = canonical(host);
        self.hosts.contains(&host) || host.parse().is_ok_and(|address| self.covers(address))
    }

    /// Whether the address may be reached under this host's name.
    ///
    /// # Errors
    /// Says what kind of address it is.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Error> {
        let kind = kind_of(address);
        // A listed name is the operator's word for a machine, and names can be made
        // to point elsewhere: it does not open the metadata service.
        let named = kind != Kind::Metadata && self.hosts.contains(&canonical(host));
        if kind == Kind::Public || named || self.covers(address) {
            Ok(())
        } else {
            Err(Error::Refused { host: host.to_owned(), address, kind })
        }
    }

    fn covers(&self, address: IpAddr) -> bool {
        let plain = plain(address);
        self.networks.iter().any(|network| network.contains(address) || network.contains(plain))
    }
}

/// A name as it is compared: without the root's dot, in lower case, an address without brackets.
fn canonical(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

fn is_host(text: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(of_name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> Kind {
        kind_of(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_are_what_the_registries_say() {
        for (kind_expected, addresses) in [
            (
                Kind::Public,
                &[
                    "8.8.8.8",
                    "1.1.1.1",
                    "100.63.0.1",
                    "172.32.0.1",
                    "192.169.0.1",
                    "2606:4700::1111",
                    "2a00:1450::1",
                    "64:ff9b::808:808",
                    "2002:808:808::1",
                ][..],
            ),
            (
                Kind::Loopback,
                &[
                    "127.0.0.1",
                    "127.255.255.255",
                    "0.0.0.0",
                    "0.1.2.3",
                    "::1",
                    "::",
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::",
                ],
            ),
            (
                Kind::Private,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fd00::1",
                    "fc00::",
                    "fec0::1",
                    "::ffff:10.0.0.1",
                    "2002:a00:1::1",
                ],
            ),
            (Kind::LinkLocal, &["169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.1.1"]),
            (
                Kind::Metadata,
                &[
                    "169.254.169.254",
                    "169.254.170.2",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                    "fd00:ec2::254",
                    "fd20:ce::254",
                    "::ffff:169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                    "2002:a9fe:a9fe::",
                ],
            ),
            (
                Kind::Reserved,
                &[
                    "192.0.2.1",
                    "198.18.0.1",
                    "198.51.100.7",
                    "203.0.113.9",
                    "224.0.0.1",
                    "255.255.255.255",
                    "240.0.0.1",
                    "2001:db8::1",
                    "2001::1",
                    "ff02::1",
                    "100::1",
                    "64:ff9b:1::1",
                    "3fff::1",
                    "5f00::1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(kind(address), kind_expected, "{address}");
            }
        }
    }

    fn allowed(entries: &[&str], host: &str, address: &str) -> bool {
        let allow = Allow::new(entries).expect("valid entries");
        allow.check(host, address.parse().expect("an address")).is_ok()
    }

    #[test]
    fn what_is_listed_may_be_reached() {
        assert!(allowed(&[], "example.com", "8.8.8.8"));
        assert!(!allowed(&[], "example.com", "10.1.2.3"));
        assert!(allowed(&["10.0.0.0/8"], "example.com", "10.1.2.3"));
        assert!(allowed(&["10.0.0.0/8"], "example.com", "::ffff:10.1.2.3"));
        assert!(!allowed(&["10.0.0.0/16"], "example.com", "10.1.2.3"));
        assert!(allowed(&["Model.Internal."], "model.internal", "10.1.2.3"));
        assert!(!allowed(&["model.internal"], "other.internal", "10.1.2.3"));
        assert!(allowed(&["127.0.0.1"], "127.0.0.1", "127.0.0.1"));
        assert!(!allowed(&["127.0.0.1"], "127.0.0.2", "127.0.0.2"));
        assert!(allowed(&["[::1]"], "[::1]", "::1"));
        assert!(allowed(&["fd00::/8"], "x", "fd12::1"));
        assert!(allowed(&["0.0.0.0/0"], "x", "10.0.0.1"));
    }

    #[test]
    fn a_listed_name_does_not_open_the_metadata_service() {
        assert!(!allowed(&["model.internal"], "model.internal", "169.254.169.254"));
        assert!(allowed(&["169.254.169.254"], "169.254.169.254", "169.254.169.254"));
    }

    #[test]
    fn entries_that_name_nothing_are_refused() {
        for entry in ["", "http://x", "10.0.0.0/33", "::1/129", "a b", "10.0.0.0/x", "*.x"] {
            let refused = Allow::new(&[entry]);
            assert_eq!(refused, Err(Error::Allow { entry: entry.to_owned() }), "{entry}");
        }
    }

    proptest! {
        /// The standard library's own judgement is never milder than ours.
        #[test]
        fn nothing_that_std_calls_special_is_public(bits in any::<u32>(), high in any::<u128>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!(special && kind_of(v4.into()) == Kind::Public));
            prop_assert_eq!(kind_of(v4.to_ipv6_mapped().into()), kind_of(v4.into()));
            let v6 = Ipv6Addr::from_bits(high);
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local()
                || v6.is_unique_local() || v6.is_unspecified();
            prop_assert!(!(special && kind_of(v6.into()) == Kind::Public));
        }
    }
}
