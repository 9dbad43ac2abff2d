//! Who takes part in which kind of command.

use holdfast_domain::money::Currency;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transactions {
    /// The name of an entry of `partners`.
    pub partner: String,
}

impl Default for Transactions {
    fn default() -> Self {
        Self { partner: "processor".to_owned() }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refunds {
    /// Names of entries of `partners`, in the order in which they take part. In the environment: `ticketing,gateway`.
    pub partners: Vec<String>,
}

impl Default for Refunds {
    fn default() -> Self {
        Self { partners: vec![Transactions::default().partner] }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// The name of an entry of `partners`. Without one an order is completed when it is recorded.
    pub partner: Option<String>,
    /// Of an order that names none: an ISO 4217 code.
    pub currency: String,
}

impl Default for Orders {
    fn default() -> Self {
        Self { partner: None, currency: "EUR".to_owned() }
    }
}

impl Orders {
    pub fn default_currency(&self) -> Currency {
        Currency::parse(&self.currency).expect("validated when read")
    }
}
