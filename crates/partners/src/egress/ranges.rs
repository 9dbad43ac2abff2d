//! Addresses that are nobody's on the internet: loopback, neighbours, the metadata of a cloud, tunnels to either.
//!
//! From the IANA registries of special-purpose addresses (iana-ipv4-special-registry, iana-ipv6-special-registry, RFC 6890)
//! and of address space, with their RFCs. What they call globally reachable all the same (AS112, anycast of protocols) is
//! here too: no client of ours has an endpoint there.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "of this network"), // RFC 791, 3.2; 0.0.0.0 reaches this machine
    (v4([10, 0, 0, 0], 8), "private"),        // RFC 1918
    (v4([100, 64, 0, 0], 10), "shared"),      // RFC 6598, carrier-grade NAT; has a cloud's 100.100.100.200
    (v4([127, 0, 0, 0], 8), "loopback"),      // RFC 1122, 3.2.1.3
    (v4([168, 63, 129, 16], 32), "a cloud's own"), // Azure's platform, reached from its machines alone
    (v4([169, 254, 0, 0], 16), "link-local"), // RFC 3927; has 169.254.169.254 and ECS' 169.254.170.2
    (v4([172, 16, 0, 0], 12), "private"),     // RFC 1918
    (v4([192, 0, 0, 0], 24), "set aside for protocols"), // RFC 6890, 2.1
    (v4([192, 0, 2, 0], 24), "for documentation"), // RFC 5737
    (v4([192, 31, 196, 0], 24), "for AS112"), // RFC 7535
    (v4([192, 52, 193, 0], 24), "for multicast relays"), // RFC 7450
    (v4([192, 88, 99, 0], 24), "for 6to4 relays"), // RFC 7526
    (v4([192, 168, 0, 0], 16), "private"),    // RFC 1918
    (v4([192, 175, 48, 0], 24), "for AS112"), // RFC 7534
    (v4([198, 18, 0, 0], 15), "for benchmarks"), // RFC 2544
    (v4([198, 51, 100, 0], 24), "for documentation"), // RFC 5737
    (v4([203, 0, 113, 0], 24), "for documentation"), // RFC 5737
    (v4([224, 0, 0, 0], 4), "multicast"),     // RFC 5771
    (v4([240, 0, 0, 0], 4), "reserved"),      // RFC 1112, 4; with the broadcast of RFC 919
];

/// Within and without [`GLOBAL_V6`]. The first that has an address names it.
const V6: &[(Ipv6Net, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "of this network"), // RFC 4291, 2.5.2
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),        // RFC 4291, 2.5.3
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4-mapped"), // RFC 4291, 2.5.5.2; whatever is inside
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4-compatible"),  // RFC 4291, 2.5.5.1
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "for NAT64"), // RFC 6052; whatever is inside
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "for NAT64"), // RFC 8215
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discarded"),    // RFC 6666
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "a dummy"),      // RFC 9780
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo tunnel"), // RFC 4380; whatever is inside
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "set aside for protocols"), // RFC 2928; benchmarks, AMT, AS112, ORCHID, DET
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"), // RFC 3849
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 tunnel"), // RFC 3056; whatever is inside
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), "for AS112"), // RFC 7534
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"), // RFC 9637
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "for segment routing"), // RFC 9602
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),      // RFC 4193; has a cloud's fd00:ec2::254
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),  // RFC 4291, 2.5.6
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),  // RFC 3879
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),    // RFC 4291, 2.7
];

/// All that is given out to be reached (iana-ipv6-address-space). What else will be is not known.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What an address is that is not public.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => named(V4, |range| range.contains(&address)),
        IpAddr::V6(address) => named(V6, |range| range.contains(&address))
            .or_else(|| (!GLOBAL_V6.contains(&address)).then_some("not global unicast")),
    }
}

fn named<T>(ranges: &[(T, &'static str)], contains: impl Fn(&T) -> bool) -> Option<&'static str> {
    ranges.iter().find(|(range, _)| contains(range)).map(|(_, name)| *name)
}

const fn v4(address: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = address;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(address: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each range's first and last address, and what is just outside. No name: public.
    const CASES: &[(&str, &[&str])] = &[
        ("of this network", &["0.0.0.0", "0.0.0.1", "0.255.255.255", "::"]),
        ("", &["1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255"]),
        ("private", &["10.0.0.0", "10.0.0.7", "10.255.255.255"]),
        ("", &["11.0.0.0", "100.63.255.255"]),
        ("shared", &["100.64.0.0", "100.100.100.200", "100.127.255.255"]),
        ("", &["100.128.0.0", "126.255.255.255"]),
        ("loopback", &["127.0.0.0", "127.0.0.1", "127.0.0.53", "127.255.255.255", "::1"]),
        ("", &["128.0.0.0", "168.63.129.15", "168.63.129.17"]),
        ("a cloud's own", &["168.63.129.16"]),
        ("", &["169.253.255.255"]),
        ("link-local", &["169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255"]),
        ("", &["169.255.0.0", "172.15.255.255"]),
        ("private", &["172.16.0.0", "172.17.0.1", "172.31.255.255"]),
        ("", &["172.32.0.0", "191.255.255.255"]),
        ("set aside for protocols", &["192.0.0.0", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.0.0.255"]),
        ("", &["192.0.1.0", "192.0.1.255"]),
        ("for documentation", &["192.0.2.0", "192.0.2.255"]),
        ("", &["192.0.3.0", "192.31.195.255"]),
        ("for AS112", &["192.31.196.0", "192.31.196.255"]),
        ("", &["192.31.197.0", "192.52.192.255"]),
        ("for multicast relays", &["192.52.193.0", "192.52.193.255"]),
        ("", &["192.52.194.0", "192.88.98.255"]),
        ("for 6to4 relays", &["192.88.99.0", "192.88.99.1", "192.88.99.255"]),
        ("", &["192.88.100.0", "192.167.255.255"]),
        ("private", &["192.168.0.0", "192.168.1.1", "192.168.255.255"]),
        ("", &["192.169.0.0", "192.175.47.255"]),
        ("for AS112", &["192.175.48.0", "192.175.48.255"]),
        ("", &["192.175.49.0", "198.17.255.255"]),
        ("for benchmarks", &["198.18.0.0", "198.19.255.255"]),
        ("", &["198.20.0.0", "198.51.99.255"]),
        ("for documentation", &["198.51.100.0", "198.51.100.255"]),
        ("", &["198.51.101.0", "203.0.112.255"]),
        ("for documentation", &["203.0.113.0", "203.0.113.255"]),
        ("", &["203.0.114.0", "223.255.255.255"]),
        ("multicast", &["224.0.0.0", "239.255.255.255"]),
        ("reserved", &["240.0.0.0", "255.255.255.254", "255.255.255.255"]),
        ("IPv4-compatible", &["::2", "::127.0.0.1", "::8.8.8.8", "::ffff:ffff"]),
        ("not global unicast", &["::1:0:0", "::fffe:ffff:ffff"]),
        ("IPv4-mapped", &["::ffff:0:0", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:ffff:ffff"]),
        ("not global unicast", &["::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("for NAT64", &["64:ff9b::", "64:ff9b::7f00:1", "64:ff9b::ffff:ffff"]),
        ("not global unicast", &["64:ff9b::1:0:0", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff"]),
        ("for NAT64", &["64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"]),
        ("not global unicast", &["64:ff9b:2::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("discarded", &["100::", "100::ffff:ffff:ffff:ffff"]),
        ("a dummy", &["100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"]),
        ("not global unicast", &["100:0:0:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("a Teredo tunnel", &["2001::", "2001:0:7f00:1::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("set aside for protocols", &["2001:1::1", "2001:2::", "2001:3::", "2001:4:112::", "2001:10::", "2001:20::"]),
        ("set aside for protocols", &["2001:30::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["2001:200::", "2001:4860:4860::8888", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("for documentation", &["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("a 6to4 tunnel", &["2002::", "2002:7f00:1::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["2003::", "2606:4700:4700::1111", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff"]),
        ("for AS112", &["2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["2620:4f:8001::", "2a00:1450:4001::1", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("for documentation", &["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("", &["3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("not global unicast", &["4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("for segment routing", &["5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("not global unicast", &["5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("private", &["fc00::", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("not global unicast", &["fe00::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("link-local", &["fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("site-local", &["fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("multicast", &["ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
    ];

    #[test]
    fn each_range_ends_where_its_registry_says() {
        for (name, addresses) in CASES {
            for address in *addresses {
                let found = special(address.parse().expect("an address"));
                assert_eq!(found, (!name.is_empty()).then_some(*name), "{address}");
            }
        }
    }

    #[test]
    fn every_range_is_met_at_both_its_ends() {
        let met: Vec<IpAddr> =
            CASES.iter().flat_map(|(_, met)| *met).map(|met| met.parse().expect("an address")).collect();
        let v4 = V4.iter().flat_map(|(range, _)| [IpAddr::from(range.network()), IpAddr::from(range.broadcast())]);
        let v6 = V6.iter().flat_map(|(range, _)| [IpAddr::from(range.network()), IpAddr::from(range.broadcast())]);
        let missed: Vec<_> = v4.chain(v6).filter(|end| !met.contains(end)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}
