//! What the operator allows, as it is written in the configuration.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::Host;

/// Without any, callbacks go by https to port 443 of public addresses.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Plain `http` too, and its port 80.
    pub allow_http: bool,
    pub ports: Vec<Ports>,
    /// May be reached, public or not. Of the ports alone.
    pub allow: Vec<Allowed>,
}

/// A port, or a range of them: `443`, `8000-8999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// An address or a network (`10.0.0.7`, `10.0.0.0/8`), or a host by its name, wherever that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    Network(IpNet),
    /// In lower case, without the dot at its end.
    Host(String),
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither a port nor a range of ports such as 8000-8999")]
pub struct NotPorts(String);

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an address, nor a network such as 10.0.0.0/8, nor the name of a host")]
pub struct NotAllowed(String);

impl Ports {
    pub(super) const HTTP: Self = Self { first: 80, last: 80 };

    pub(super) fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for Ports {
    type Err = NotPorts;

    fn from_str(text: &str) -> Result<Self, NotPorts> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err(NotPorts(text.to_owned())),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Allowed {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address))
    }

    pub(super) fn is_host(&self, name: &str) -> bool {
        matches!(self, Self::Host(host) if host.eq_ignore_ascii_case(without_dot(name)))
    }
}

impl FromStr for Allowed {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let text = text.trim();
        let read = match text.parse::<IpAddr>() {
            Ok(address) => Some(Self::Network(address.into())),
            Err(_) if text.contains('/') => network(text).map(Self::Network),
            Err(_) => host(text).map(Self::Host),
        };
        read.ok_or_else(|| NotAllowed(text.to_owned()))
    }
}

/// `10.0.0.7/8` may be meant as either, and one of them is a hole.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().filter(|network: &IpNet| network.trunc() == *network)
}

/// No patterns: `*.example.com` would be taken for a name that nobody has.
fn host(text: &str) -> Option<String> {
    let Ok(Host::Domain(name)) = Host::parse(text) else { return None };
    let name = without_dot(&name);
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    is_plain.then(|| name.to_owned())
}

/// A name with a dot at its end is the same name, written absolutely.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Allowed {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn ports_are_single_or_ranges() {
        let ports: Ports = "8000-8002".parse().expect("a range");
        assert_eq!([7999, 8000, 8002, 8003].map(|port| ports.contain(port)), [false, true, true, false]);
        assert_eq!("443".parse::<Ports>().expect("a port").to_string(), "443");
        assert_eq!(" 1 - 65535 ".parse::<Ports>().expect("a range").to_string(), "1-65535");
        for wrong in ["", "0", "65536", "9-8", "-", "443-", "https", "1-2-3", "0-9"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (network, within, without) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.0/8", "127.0.0.1", "::ffff:127.0.0.1"),
            ("fd00::/8", "fd12::1", "fc00::1"),
            ("::1", "::1", "::2"),
        ] {
            assert!(allowed(network).has(address(within)), "{within} is in {network}");
            assert!(!allowed(network).has(address(without)), "{without} is in {network}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_whole_name() {
        let host = allowed("Inbox.Example.");
        assert!(["inbox.example", "INBOX.example.", "inbox.example."].iter().all(|name| host.is_host(name)));
        assert!(!["example", "x.inbox.example", "inbox.example.org", ""].iter().any(|name| host.is_host(name)));
        assert!(!host.has("127.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn what_can_only_be_a_mistake_is_refused() {
        for wrong in
            ["", ".", "10.0.0.7/8", "10.0.0.0/33", "10.1", "0x7f.1", "[::1]", "*.example.com", "a b", "host:80"]
        {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }
}
