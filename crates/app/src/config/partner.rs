//! A third party, and how it is treated.

use super::Millis;
use holdfast_domain::schedule::Polling;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// A third party that speaks the generic partner contract.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    pub base_url: Url,
    /// A whole header, such as `Authorization: Bearer …`.
    pub auth_header: Option<SecretString>,
    #[serde(default = "ms::<10_000>")]
    pub create_timeout_ms: Millis,
    #[serde(default = "ms::<5_000>")]
    pub lookup_timeout_ms: Millis,
    /// Creations that may be made for one command.
    #[serde(default = "three")]
    pub tries: u16,
    /// Between two of them.
    #[serde(default = "ms::<120_000>")]
    pub try_delay_ms: Millis,
    /// It dedupes by our key, so that the first creation after "unknown, then not found" may follow at once.
    #[serde(default = "yes")]
    pub idempotent: bool,
    /// It has no keys: after an unknown outcome only lookups, then a person decides.
    #[serde(default)]
    pub at_most_once: bool,
    /// Look it up before the first creation too.
    #[serde(default)]
    pub lookup_first: bool,
    /// How long it remembers a key. After that a creation could be a second one.
    #[serde(default = "ms::<72_000_000>")]
    pub key_lifetime_ms: Millis,
    /// Between lookups that fail.
    #[serde(default = "ms::<5_000>")]
    pub lookup_retry_ms: Millis,
    /// Status requests: at once, then after this …
    #[serde(default = "ms::<200>")]
    pub poll_first_ms: Millis,
    /// … then after this, doubling …
    #[serde(default = "ms::<10>")]
    pub poll_step_ms: Millis,
    /// … up to this.
    #[serde(default = "ms::<30_000>")]
    pub poll_cap_ms: Millis,
    /// A status that is not final after this long needs attention.
    #[serde(default = "ms::<900_000>")]
    pub settle_within_ms: Millis,
    /// Of its webhooks: `whsec_…`, or any text where `webhook_header` is set. Without one it sends none.
    pub webhook_secret: Option<SecretString>,
    /// Valid too, while it changes over to the other.
    pub webhook_previous_secret: Option<SecretString>,
    /// The header of its signature, where it does not follow Standard Webhooks.
    pub webhook_header: Option<String>,
    /// The header of its timestamp, which is signed before the body, as `timestamp.body`.
    pub webhook_timestamp_header: Option<String>,
    /// How far the timestamp of a webhook may be from now.
    #[serde(default = "ms::<300_000>")]
    pub webhook_tolerance_ms: Millis,
    /// Requests under way at once, per process.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// Requests in a row without a usable answer that open the breaker: then nobody asks, and no try is burnt.
    #[serde(default = "ten")]
    pub breaker_failures: u32,
    /// How long it stays open; doubles while the probe fails …
    #[serde(default = "ms::<5_000>")]
    pub breaker_open_ms: Millis,
    /// … up to this.
    #[serde(default = "ms::<30_000>")]
    pub breaker_cap_ms: Millis,
}

impl Partner {
    pub const fn polling(&self) -> Polling {
        Polling { first: self.poll_first_ms.get(), step: self.poll_step_ms.get(), cap: self.poll_cap_ms.get() }
    }
}

const fn ms<const N: u64>() -> Millis {
    Millis(N)
}

const fn three() -> u16 {
    3
}

const fn ten() -> u32 {
    10
}

const fn concurrency() -> usize {
    256
}

const fn yes() -> bool {
    true
}
