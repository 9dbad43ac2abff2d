//! Which sinks get the events of every command.

use super::Millis;
use anyhow::{Context as _, bail, ensure};
use holdfast_domain::Kind;
use holdfast_sinks::{HttpSettings, Mode, RedisSettings, Settings, SqsSettings};
use holdfast_store::event_sinks::Start;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use url::{Host, Url};

/// More rows in one statement take longer than a statement may.
const LARGEST_BATCH: u32 = 1_000;

const LONGEST_NAME: usize = 100;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// By name. A sink keeps its place under its name: another name begins anew.
    pub sinks: BTreeMap<String, EventSink>,
    /// How often it is looked whether there is something to publish.
    pub interval_ms: Millis,
    /// Events that are read and published at once, at most.
    pub batch: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self { sinks: BTreeMap::new(), interval_ms: Millis(250), batch: 1_000 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSink {
    #[serde(rename = "type")]
    pub kind: SinkKind,
    /// Of SQS: the name of the queue.
    pub queue: Option<String>,
    /// Of Redis and HTTP: where it is. That of Redis may have a password.
    pub url: Option<SecretString>,
    /// Of Redis: the stream.
    pub stream: Option<String>,
    /// Of Redis: about so many entries are kept, read or not. Without it a million.
    pub max_len: Option<u64>,
    /// Of HTTP: how an event becomes a request. Without it structured.
    pub mode: Option<EventMode>,
    /// Of HTTP: sent as `Authorization: Bearer …`.
    pub token: Option<SecretString>,
    /// Of HTTP: plain `http` beyond the loopback too. Whoever is on the way reads it then.
    #[serde(default)]
    pub allow_http: bool,
    /// Where a sink begins that is new.
    #[serde(default)]
    pub from: EventsFrom,
    /// Only commands of these kinds. Without it all.
    #[serde(default)]
    pub kinds: Kinds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    Sqs,
    Redis,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventMode {
    Structured,
    Binary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsFrom {
    /// With what is written from now on.
    #[default]
    Now,
    /// With everything since the release that began to count.
    Beginning,
}

impl Events {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        ensure!(!self.interval_ms.get().is_zero(), "events.interval_ms must not be zero");
        ensure!((1..=LARGEST_BATCH).contains(&self.batch), "events.batch must be from 1 to {LARGEST_BATCH}");
        for (name, sink) in &self.sinks {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            ensure!(
                (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_name),
                "events.sinks.{name}: a name has at most {LONGEST_NAME} letters, digits, '-', '_' and '.'"
            );
            let checked = sink.settings().and_then(|settings| Ok(settings.check()?));
            checked.with_context(|| format!("events.sinks.{name}"))?;
        }
        Ok(())
    }
}

impl EventSink {
    pub const fn start(&self) -> Start {
        match self.from {
            EventsFrom::Now => Start::Now,
            EventsFrom::Beginning => Start::Beginning,
        }
    }

    /// `None`: a kind that this version does not know.
    pub fn wants(&self, kind: Option<Kind>) -> bool {
        self.kinds.0.is_empty() || kind.is_some_and(|kind| self.kinds.0.contains(&kind))
    }

    /// What its type needs, and nothing of another's.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let Self { kind, queue, url, stream, max_len, mode, token, allow_http, .. } = self;
        let given = [
            ("queue", queue.is_some(), &[SinkKind::Sqs][..]),
            ("url", url.is_some(), &[SinkKind::Redis, SinkKind::Http]),
            ("stream", stream.is_some(), &[SinkKind::Redis]),
            ("max_len", max_len.is_some(), &[SinkKind::Redis]),
            ("mode", mode.is_some(), &[SinkKind::Http]),
            ("token", token.is_some(), &[SinkKind::Http]),
            ("allow_http", *allow_http, &[SinkKind::Http]),
        ];
        if let Some((name, ..)) = given.iter().find(|(_, given, of)| *given && !of.contains(kind)) {
            bail!("{name} is not a setting of this type");
        }
        Ok(match kind {
            SinkKind::Sqs => Settings::Sqs(SqsSettings { queue: text(queue, "queue")?, replay: None }),
            SinkKind::Redis => Settings::Redis(RedisSettings {
                url: url.clone().context("url is missing: redis://host:6379/0")?,
                stream: text(stream, "stream")?,
                max_len: max_len.unwrap_or(1_000_000).max(1),
            }),
            SinkKind::Http => Settings::Http(self.http()?),
        })
    }

    fn http(&self) -> anyhow::Result<HttpSettings> {
        use secrecy::ExposeSecret as _;
        let url = self.url.as_ref().context("url is missing: https://…")?;
        // Its text could repeat a secret of the query.
        let url: Url = url.expose_secret().parse().ok().context("url cannot be read")?;
        let is_plain = url.scheme() == "http";
        ensure!(is_plain || url.scheme() == "https", "url must begin with https://");
        ensure!(!is_plain || self.allow_http || is_loopback(&url), "url is plain http, and allow_http is not set");
        let mode = match self.mode {
            Some(EventMode::Binary) => Mode::Binary,
            Some(EventMode::Structured) | None => Mode::Structured,
        };
        Ok(HttpSettings { url, mode, token: self.token.clone() })
    }
}

fn text(setting: &Option<String>, name: &str) -> anyhow::Result<String> {
    let text = setting.as_deref().unwrap_or_default();
    ensure!(!text.is_empty(), "{name} is missing");
    Ok(text.to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Kinds by their plurals, as in `--queues`: a list, or in the environment a text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(BTreeSet<Kind>);

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindsVisitor)
    }
}

struct KindsVisitor;

impl<'de> Visitor<'de> for KindsVisitor {
    type Value = Kinds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of kinds")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kinds, A::Error> {
        let mut kinds = BTreeSet::new();
        while let Some(name) = seq.next_element::<String>()? {
            kinds.insert(kind(&name)?);
        }
        Ok(Kinds(kinds))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Kinds, E> {
        text.split(',').map(|name| kind(name.trim())).collect::<Result<_, E>>().map(Kinds)
    }
}

fn kind<E: de::Error>(name: &str) -> Result<Kind, E> {
    let found = Kind::ALL.into_iter().find(|kind| kind.plural() == name);
    found.ok_or_else(|| E::custom(format!("kinds: {name} is none of {}", Kind::ALL.map(Kind::plural).join(", "))))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, from_pairs};
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Config> {
        let required = [("DATABASE_URL", "postgres://me:dbword@host/db"), ("HOLDFAST__SERVER_KEY", "serverkey")];
        let sink = |name: &str| format!("HOLDFAST__EVENTS__SINKS__{name}");
        let pairs = pairs.iter().map(|(name, value)| (sink(name), (*value).to_owned()));
        let required = required.map(|(name, value)| (name.to_owned(), value.to_owned()));
        from_pairs(required.into_iter().chain(pairs).collect())
    }

    #[test]
    fn several_sinks_stand_in_the_environment() {
        let config = read(&[
            ("BUS__TYPE", "sqs"),
            ("BUS__QUEUE", "events.fifo"),
            ("BUS__KINDS", "orders,refunds"),
            ("STREAM__TYPE", "redis"),
            ("STREAM__URL", "redis://:hidden@localhost:6379/0"),
            ("STREAM__STREAM", "holdfast"),
            ("STREAM__MAX_LEN", "1000"),
            ("STREAM__FROM", "beginning"),
            ("HOOK__TYPE", "http"),
            ("HOOK__URL", "https://sink.example/in"),
            ("HOOK__MODE", "binary"),
            ("HOOK__TOKEN", "hidden"),
        ]);
        let config = config.expect("valid");
        let sinks = &config.events.sinks;
        assert_eq!(sinks.keys().collect::<Vec<_>>(), ["bus", "hook", "stream"]);
        assert!(sinks["bus"].wants(Some(Kind::Order)) && !sinks["bus"].wants(Some(Kind::Transaction)));
        assert!(!sinks["bus"].wants(None), "what it does not name");
        assert!(sinks["hook"].wants(Some(Kind::Transaction)) && sinks["hook"].wants(None));
        assert_eq!((sinks["bus"].start(), sinks["stream"].start()), (Start::Now, Start::Beginning));
        assert!(matches!(sinks["stream"].settings(), Ok(Settings::Redis(RedisSettings { max_len: 1000, .. }))));
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, expected) in [
            (&[("A__TYPE", "sqs")][..], "queue is missing"),
            (&[("A__TYPE", "redis"), ("A__STREAM", "s")], "url is missing"),
            (&[("A__TYPE", "redis"), ("A__URL", "redis://h")], "stream is missing"),
            (&[("A__TYPE", "http"), ("A__URL", "http://sink.example")], "plain http"),
            (&[("A__TYPE", "http"), ("A__URL", "ftp://sink.example")], "https://"),
            (&[("A__TYPE", "sqs"), ("A__QUEUE", "q"), ("A__STREAM", "s")], "stream is not a setting"),
            (&[("A__TYPE", "sqs"), ("A__QUEUE", "q"), ("A__KINDS", "order")], "order is none of"),
            (&[("A__TYPE", "sqs"), ("A__QUEUE", "q"), ("A__WORD", "x")], "word"),
            (&[("A__TYPE", "kafka")], "kafka"),
            (&[("A__TYPE", "redis"), ("A__STREAM", "s"), ("A__URL", "http://h")], "not one of Redis"),
            (&[("A__TYPE", "http"), ("A__URL", "https://h"), ("A__TOKEN", "a\nb")], "visible ASCII"),
        ] {
            let error = format!("{:#}", read(pairs).map(|_| ()).expect_err("it is wrong"));
            assert!(error.contains(expected), "{error}");
        }
        let plain = [("A__TYPE", "http"), ("A__URL", "http://127.0.0.1:1/in")];
        assert!(read(&plain).is_ok(), "nobody else is on the way");
        let allowed = [("A__TYPE", "http"), ("A__URL", "http://sink.example"), ("A__ALLOW_HTTP", "true")];
        assert!(read(&allowed).is_ok());
    }
}
