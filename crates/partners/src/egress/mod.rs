//! Where callbacks may go. It is clients who say that: without a guard a worker would call for them whatever it can reach,
//! databases, neighbours, the metadata of its cloud. Addresses of partners are the operator's own and not judged.

mod client;
mod lookup;
mod ranges;
mod resolver;
mod rules;

pub use client::GuardedClient;
pub use rules::{Allowed, NotAllowed, NotPorts, Ports, Rules};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Says what is not allowed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Rules>);

/// Why nothing is sent there. Clients read it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{found} is not allowed, only {allowed}")]
    Scheme { found: String, allowed: &'static str },
    #[error("user information is not allowed")]
    UserInformation,
    #[error("address is not allowed: {0} is {1}")]
    Address(IpAddr, &'static str),
    /// The same for a name that does not exist and for one that leads where nothing may be sent, whatever that is: which
    /// names there are in our network, and what they mean, is not for clients to know.
    #[error("address is not allowed: the name leads to none that may be called")]
    Name,
    #[error("there is no host")]
    NoHost,
    #[error("port {port} is not allowed, only {allowed}")]
    Port { port: u16, allowed: String },
}

impl Guard {
    pub fn new(mut rules: Rules) -> Self {
        if rules.allow_http {
            rules.ports.push(Ports::HTTP);
        }
        Self(Arc::new(rules))
    }

    /// All that can be said before a name is resolved. `Url` has made addresses of everything that somebody might take for
    /// one: `0x7f.1`, `2130706433`, `[::ffff:7f00:1]`.
    pub fn judge(&self, url: &Url) -> Result<(), Refused> {
        self.judge_scheme(url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInformation);
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge_address(address.into())?,
            Some(Host::Ipv6(address)) => self.judge_address(address.into())?,
            // Its addresses are judged when they are known, where the connection is made.
            Some(Host::Domain(_)) => {}
            None => return Err(Refused::NoHost),
        }
        self.judge_port(url.port_or_known_default().unwrap_or_default())
    }

    /// Those among the addresses of a name that may be called.
    fn choose(&self, name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let is_known = self.0.allow.iter().any(|allowed| allowed.is_host(name));
        let mut chosen = Vec::new();
        for address in found {
            match self.find(address.ip()) {
                Some(what) if !is_known => {
                    tracing::info!(name, %address, what, "a name leads where no callback may go");
                }
                _ => chosen.push(address),
            }
        }
        if chosen.is_empty() { Err(Refused::Name) } else { Ok(chosen) }
    }

    fn judge_scheme(&self, scheme: &str) -> Result<(), Refused> {
        let allowed = if self.0.allow_http { "https and http" } else { "https" };
        match scheme {
            "https" => Ok(()),
            "http" if self.0.allow_http => Ok(()),
            _ => Err(Refused::Scheme { found: scheme.to_owned(), allowed }),
        }
    }

    fn judge_address(&self, address: IpAddr) -> Result<(), Refused> {
        self.find(address).map_or(Ok(()), |what| Err(Refused::Address(address, what)))
    }

    fn judge_port(&self, port: u16) -> Result<(), Refused> {
        if self.0.ports.iter().any(|ports| ports.contain(port)) {
            return Ok(());
        }
        let allowed: Vec<_> = self.0.ports.iter().map(ToString::to_string).collect();
        Err(Refused::Port { port, allowed: allowed.join(", ") })
    }

    /// What stands against an address.
    fn find(&self, address: IpAddr) -> Option<&'static str> {
        ranges::special(address).filter(|_| !self.0.allow.iter().any(|allowed| allowed.has(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow_http: bool, ports: &[&str], allow: &[&str]) -> Guard {
        let ports = ports.iter().map(|ports| ports.parse().expect("ports")).collect();
        let allow = allow.iter().map(|allowed| allowed.parse().expect("allowed")).collect();
        Guard::new(Rules { allow_http, ports, allow })
    }

    fn judged(guard: &Guard, url: &str) -> String {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        guard.judge(&url).err().map(|refused| refused.to_string()).unwrap_or_default()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect()
    }

    #[test]
    fn without_settings_only_https_at_443_of_public_addresses_passes() {
        let strict = guard(false, &["443"], &[]);
        for good in
            ["https://shop.example/a?b", "https://shop.example:443/", "https://8.8.8.8/", "https://[2606:4700::1]/"]
        {
            assert_eq!(judged(&strict, good), "", "{good}");
        }
        for (url, why) in [
            ("http://shop.example/", "http is not allowed, only https"),
            ("ftp://shop.example/", "ftp is not allowed, only https"),
            ("https://user@shop.example/", "user information is not allowed"),
            ("https://:word@shop.example/", "user information is not allowed"),
            ("https://shop.example:8443/", "port 8443 is not allowed, only 443"),
            ("https://shop.example:80/", "port 80 is not allowed, only 443"),
            ("https://10.0.0.7/", "address is not allowed: 10.0.0.7 is private"),
            ("https://[fd00:ec2::254]/", "address is not allowed: fd00:ec2::254 is private"),
        ] {
            assert_eq!(judged(&strict, url), why, "{url}");
        }
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        let strict = guard(false, &["443"], &[]);
        for host in ["127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"]
        {
            let why = "address is not allowed: 127.0.0.1 is loopback";
            assert_eq!(judged(&strict, &format!("https://{host}/")), why, "{host}");
        }
        for host in ["１２７.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "0X7F.0.0.1", "017700000001", "127.0.0x1"]
        {
            let why = "address is not allowed: 127.0.0.1 is loopback";
            assert_eq!(judged(&strict, &format!("https://{host}/")), why, "{host}");
        }
        for host in ["::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:0001"] {
            let why = "address is not allowed: ::ffff:127.0.0.1 is IPv4-mapped";
            assert_eq!(judged(&strict, &format!("https://[{host}]/")), why, "{host}");
        }
        for host in ["0", "0x0", "0.0.0.0", "00000000"] {
            let why = "address is not allowed: 0.0.0.0 is of this network";
            assert_eq!(judged(&strict, &format!("https://{host}/")), why, "{host}");
        }
        for host in ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"] {
            let why = "address is not allowed: 169.254.169.254 is link-local";
            assert_eq!(judged(&strict, &format!("https://{host}/")), why, "{host}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_at_its_ports_alone() {
        let loose = guard(true, &["443", "8000-8999"], &["127.0.0.0/8", "inbox.example"]);
        for good in ["http://127.0.0.1:8080/", "http://inbox.example/", "https://127.9.9.9/", "http://shop.example:80/"]
        {
            assert_eq!(judged(&loose, good), "", "{good}");
        }
        for (url, why) in [
            ("http://127.0.0.1:9000/", "port 9000 is not allowed, only 443, 8000-8999, 80"),
            ("http://inbox.example:22/", "port 22 is not allowed, only 443, 8000-8999, 80"),
            ("gopher://inbox.example:80/", "gopher is not allowed, only https and http"),
            ("http://[::1]/", "address is not allowed: ::1 is loopback"),
            ("http://10.0.0.1/", "address is not allowed: 10.0.0.1 is private"),
        ] {
            assert_eq!(judged(&loose, url), why, "{url}");
        }
    }

    #[test]
    fn of_a_names_addresses_only_the_public_ones_are_called() {
        let strict = guard(false, &["443"], &["10.1.0.0/16", "inbox.example"]);
        let chosen = |name: &str, found: &[&str]| strict.choose(name, addresses(found).into_iter());
        let mixed = ["10.0.0.7", "8.8.8.8", "::1", "2606:4700::1", "::ffff:8.8.8.8", "10.1.2.3"];
        assert_eq!(chosen("shop.example", &mixed), Ok(addresses(&["8.8.8.8", "2606:4700::1", "10.1.2.3"])));
        assert_eq!(chosen("shop.example", &["10.0.0.7"]), Err(Refused::Name));
        assert_eq!(chosen("shop.example", &[]), Err(Refused::Name), "nobody hears which of them it is");
        assert_eq!(chosen("inbox.example.", &["127.0.0.1"]), Ok(addresses(&["127.0.0.1"])));
        assert_eq!(chosen("x.inbox.example", &["127.0.0.1"]), Err(Refused::Name));
        let told = chosen("db.internal", &["10.0.0.7"]).expect_err("it is private").to_string();
        assert_eq!(told, "address is not allowed: the name leads to none that may be called");
    }
}
