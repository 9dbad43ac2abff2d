//! The one typed configuration of all binaries: `holdfast.toml`, overridden by the environment.
//!
//! Every key can be set as `HOLDFAST__SECTION__KEY`. Names that are standard elsewhere work too: `DATABASE_URL`,
//! `PGUSER` and `PGPASSWORD` for a URL without them, `AWS_REGION`, `AWS_ENDPOINT_URL_SQS`, `RUST_LOG`, `OTEL_…`; AWS
//! credentials come from the SDK's own chain. An unknown key is an error, because a misspelt timeout is an outage later.

mod callbacks;
mod console;
mod encryption;
mod events;
mod infrastructure;
mod kinds;
mod limits;
mod partner;
mod process;
mod retention;
mod traces;

pub use callbacks::Callbacks;
pub use console::Console;
pub use encryption::Encryption;
pub use events::{EventSink, Events};
pub use infrastructure::{Database, QueueNames, Sqs};
pub use kinds::{Orders, Refunds, Transactions};
pub use limits::{HIGHEST_RATE, Limits};
pub use partner::Partner;
pub use process::{Api, Worker};
pub use retention::Retention;
pub use traces::Traces;

use anyhow::Context as _;
use holdfast_domain::Kind;
use holdfast_domain::money::Currency;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Millis(u64);

impl Millis {
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://…`. Also `DATABASE_URL`.
    pub database_url: SecretString,
    /// 32 bytes or more in base64. Command ids are computed with it: never rotate it, never lose it.
    pub server_key: SecretString,
    #[serde(default)]
    pub database: Database,
    #[serde(default)]
    pub sqs: Sqs,
    #[serde(default)]
    pub queues: QueueNames,
    #[serde(default)]
    pub api: Api,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub worker: Worker,
    #[serde(default)]
    pub console: Console,
    #[serde(default)]
    pub callbacks: Callbacks,
    #[serde(default)]
    pub encryption: Encryption,
    #[serde(default)]
    pub retention: Retention,
    /// What others are told, and where.
    #[serde(default)]
    pub events: Events,
    /// Third parties by name.
    #[serde(default)]
    pub partners: BTreeMap<String, Partner>,
    /// Which partner takes transactions.
    #[serde(default)]
    pub transactions: Transactions,
    #[serde(default)]
    pub refunds: Refunds,
    #[serde(default)]
    pub orders: Orders,
}

/// Reads `file` if it exists, then the environment.
pub fn load(file: &Path) -> anyhow::Result<Config> {
    load_with(file, BTreeMap::new())
}

/// As if the environment had these settings too.
pub fn load_with(file: &Path, more: BTreeMap<String, String>) -> anyhow::Result<Config> {
    let source = config::File::from(file).format(config::FileFormat::Toml).required(false);
    let builder = config::Config::builder().add_source(source);
    let mut environment = environment();
    environment.extend(more);
    read(builder, environment).with_context(|| format!("read configuration ({})", file.display()))
}

/// Which settings are which secrets, where nobody puts their values into the environment: a JSON object in `HOLDFAST_SECRETS`.
pub fn secret_references() -> anyhow::Result<BTreeMap<String, String>> {
    let references = environment().remove("HOLDFAST_SECRETS").unwrap_or_else(|| "{}".to_owned());
    // What serde says of it could repeat a part of it.
    serde_json::from_str(&references).ok().context("HOLDFAST_SECRETS must be a JSON object of texts")
}

/// Whether the environment wants traces to be exported.
pub fn traces() -> Option<Traces> {
    Traces::read(&environment())
}

#[expect(clippy::disallowed_methods, reason = "this is the home of reading the environment")]
fn environment() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

/// Reads an environment alone, as a child process would get it.
pub fn from_pairs(environment: BTreeMap<String, String>) -> anyhow::Result<Config> {
    read(config::Config::builder(), environment)
}

fn read(
    builder: config::ConfigBuilder<config::builder::DefaultState>,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<Config> {
    let standard = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let credentials = (standard("PGUSER"), standard("PGPASSWORD"));
    let builder = builder
        .set_override_option("database_url", standard("DATABASE_URL"))?
        .set_override_option("sqs.region", standard("AWS_REGION"))?
        .set_override_option("sqs.endpoint_url", standard("AWS_ENDPOINT_URL_SQS"))?;
    let own = config::Environment::with_prefix("HOLDFAST")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .ignore_empty(true);
    let own = own.list_separator(",").with_list_parse_key("callbacks.schedule_ms");
    let own = own.with_list_parse_key("refunds.partners").with_list_parse_key("api.cors_origins");
    let own = own.with_list_parse_key("callbacks.ports").with_list_parse_key("callbacks.allow");
    let builder = builder.add_source(own.source(Some(environment.into_iter().collect())));
    let mut config: Config = builder.build()?.try_deserialize()?;
    let (user, password) = credentials;
    config.database_url = with_credentials(&config.database_url, user.as_deref(), password.as_deref());
    config.validate()?;
    Ok(config)
}

/// What a URL names it keeps. One that has no host, as that of a socket has none, is left to the Postgres client.
fn with_credentials(url: &SecretString, user: Option<&str>, password: Option<&str>) -> SecretString {
    let with = |url: &str| {
        let mut url = Url::parse(url).ok()?;
        if let Some(user) = user.filter(|_| url.username().is_empty()) {
            url.set_username(&encoded(user)).ok()?;
        }
        if let Some(password) = password.filter(|_| url.password().is_none()) {
            url.set_password(Some(&encoded(password))).ok()?;
        }
        Some(url.to_string().into())
    };
    with(url.expose_secret()).unwrap_or_else(|| url.clone())
}

/// All that might mean something in a URL: `Url` itself leaves a percent sign as it is.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

impl Config {
    fn validate(&self) -> anyhow::Result<()> {
        let worker = &self.worker;
        let slots = [worker.run_slots, worker.overflow_slots, worker.tell_slots, worker.tell_again_slots];
        anyhow::ensure!(!slots.contains(&0), "worker slots must not be zero");
        anyhow::ensure!(self.callbacks.endpoint_concurrency > 0, "callbacks.endpoint_concurrency must not be zero");
        anyhow::ensure!(
            worker.receive_wait_ms.get() <= Duration::from_secs(20),
            "worker.receive_wait_ms is over 20000"
        );
        self.api.validate()?;
        self.limits.validate()?;
        anyhow::ensure!(self.queues.share_per_s.get() <= HIGHEST_RATE, "queues.share_per_s is over {HIGHEST_RATE}");
        self.console.validate()?;
        self.callbacks.guard()?;
        self.encryption.validate()?;
        self.retention.validate()?;
        self.events.validate()?;
        anyhow::ensure!(self.database.connections > 1, "database.connections must be at least 2");
        let consumed = 10 * worker.pollers * Kind::ALL.len();
        anyhow::ensure!(
            worker.run_slots > consumed,
            "worker.run_slots must be over {consumed}: receives hold up to ten each, and the relay needs some too"
        );
        let waiting = Kind::ALL.len();
        anyhow::ensure!(
            worker.overflow_slots > waiting,
            "worker.overflow_slots must be over {waiting}: the receives of each kind hold one while they wait"
        );
        anyhow::ensure!(
            worker.overflow_slots < worker.run_slots,
            "worker.overflow_slots must be below worker.run_slots, of which they are a part"
        );
        anyhow::ensure!(
            self.callbacks.timeout_ms.get() + crate::run::MARGIN < worker.lease_ms.get(),
            "callbacks.timeout_ms: an attempt may take longer than worker.lease_ms allows"
        );
        for (name, partner) in &self.partners {
            let longest = partner.create_timeout_ms.get().max(partner.lookup_timeout_ms.get());
            anyhow::ensure!(
                longest + crate::run::MARGIN < worker.lease_ms.get(),
                "partners.{name}: a request may take longer than worker.lease_ms allows"
            );
            anyhow::ensure!(partner.tries > 0, "partners.{name}.tries must not be zero");
            anyhow::ensure!(partner.concurrency > 0, "partners.{name}.concurrency must not be zero");
            anyhow::ensure!(!name.contains(','), "partners.{name}: a name must not contain a comma");
        }
        let Refunds { partners } = &self.refunds;
        anyhow::ensure!(!partners.is_empty(), "refunds.partners must not be empty");
        let distinct: std::collections::BTreeSet<_> = partners.iter().collect();
        anyhow::ensure!(distinct.len() == partners.len(), "refunds.partners names one twice");
        anyhow::ensure!(
            Currency::parse(&self.orders.currency).is_some(),
            "orders.currency must be an ISO 4217 code such as EUR"
        );
        Ok(())
    }

    /// Every partner that some kind needs is configured. Only who calls them must know them.
    pub fn validate_partners(&self) -> anyhow::Result<()> {
        let mut needed = vec![("transactions.partner", &self.transactions.partner)];
        needed.extend(self.refunds.partners.iter().map(|name| ("refunds.partners", name)));
        needed.extend(self.orders.partner.iter().map(|name| ("orders.partner", name)));
        for (key, name) in needed {
            anyhow::ensure!(self.partners.contains_key(name), "{key}: there is no partners.{name}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgConnectOptions;

    fn read(url: &str, user: Option<&str>, password: Option<&str>) -> String {
        with_credentials(&url.into(), user, password).expose_secret().to_owned()
    }

    #[test]
    fn credentials_are_taken_as_they_are() {
        for word in ["plain", "a%4Fz@:/", "%FF", "ä?#&='\" $"] {
            let url = read("postgres://host:5432/db?sslmode=disable", Some("role"), Some(word));
            let options: PgConnectOptions = url.parse().expect("a URL");
            assert_eq!(options.get_username(), "role");
            let url = Url::parse(&url).expect("a URL");
            assert_eq!(percent_decoded(url.password().expect("a password")), word);
        }
    }

    #[test]
    fn what_the_url_names_stays() {
        assert_eq!(read("postgres://me:mine@host/db", Some("role"), Some("word")), "postgres://me:mine@host/db");
        assert_eq!(read("postgres://me@host/db", Some("role"), Some("word")), "postgres://me:word@host/db");
        assert_eq!(read("postgres:///db?host=/tmp", Some("role"), None), "postgres:///db?host=/tmp");
        assert_eq!(read("postgres://host/db", None, None), "postgres://host/db");
    }

    fn with(settings: &[(&str, &str)]) -> anyhow::Result<Config> {
        let required = [("DATABASE_URL", "postgres://host/db"), ("HOLDFAST__SERVER_KEY", "key")];
        let pairs = required.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        from_pairs(pairs.collect())
    }

    #[test]
    fn lists_of_the_environment_may_have_one_entry_or_several() {
        let lists = |ports: &str, allow: &str| {
            let settings = [("HOLDFAST__CALLBACKS__PORTS", ports), ("HOLDFAST__CALLBACKS__ALLOW", allow)];
            let callbacks = with(&settings).expect("valid").callbacks;
            (callbacks.ports.as_slice().join(" "), callbacks.allow.as_slice().join(" "))
        };
        let pair = |ports: &str, allow: &str| (ports.to_owned(), allow.to_owned());
        assert_eq!(lists("", ""), pair("443", ""));
        assert_eq!(lists("8443", "inbox"), pair("8443", "inbox"));
        assert_eq!(lists("443,8000-8999", "10.0.0.0/8,::1"), pair("443 8000-8999", "10.0.0.0/8 ::1"));
    }

    #[test]
    fn a_file_lists_ports_as_numbers_or_texts() {
        let text = "[callbacks]\nports = [443, \"8000-8999\"]\nallow = [\"inbox.example\"]";
        let source = config::File::from_str(text, config::FileFormat::Toml);
        let required = [("DATABASE_URL", "postgres://host/db"), ("HOLDFAST__SERVER_KEY", "key")];
        let required = required.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let builder = config::Config::builder().add_source(source);
        let config = super::read(builder, required.into()).expect("valid");
        assert_eq!(config.callbacks.ports.as_slice(), ["443", "8000-8999"]);
        assert_eq!(config.callbacks.allow.as_slice(), ["inbox.example"]);
    }

    #[test]
    fn where_callbacks_may_go_is_checked_when_it_is_read() {
        for (name, value) in [("PORTS", "0"), ("PORTS", "https"), ("ALLOW", "10.0.0.7/8"), ("ALLOW", "a,*.example")] {
            let key = format!("HOLDFAST__CALLBACKS__{name}");
            let error = format!("{:#}", with(&[(key.as_str(), value)]).expect_err("it is wrong"));
            assert!(error.starts_with(&format!("callbacks.{}: ", name.to_lowercase())), "{error}");
        }
    }

    #[test]
    fn slots_that_waiting_receives_would_hold_all_of_are_refused() {
        let slots = |name: &str, number: usize| {
            let key = format!("HOLDFAST__WORKER__{name}_SLOTS");
            with(&[(key.as_str(), &number.to_string())]).map(drop)
        };
        let kinds = Kind::ALL.len();
        for (name, too_few) in [("OVERFLOW", kinds), ("OVERFLOW", Worker::default().run_slots), ("RUN", 80 * kinds)] {
            let error = format!("{:#}", slots(name, too_few).expect_err("it is wrong"));
            assert!(error.starts_with(&format!("worker.{}_slots must be ", name.to_lowercase())), "{error}");
        }
        assert!(slots("OVERFLOW", kinds + 1).is_ok());
    }

    fn percent_decoded(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let digits = |rest: &mut std::str::Bytes<'_>| String::from_utf8(rest.take(2).collect()).expect("digits");
            bytes.push(if byte == b'%' { u8::from_str_radix(&digits(&mut rest), 16).expect("hex") } else { byte });
        }
        String::from_utf8(bytes).expect("text")
    }
}
