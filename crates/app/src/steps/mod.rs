//! The steps that handlers are made of.

mod hear;
mod look_up;
mod settle;
mod submit;

pub use settle::settle;
pub use submit::submit;

use holdfast_domain::money::Money;
use holdfast_partners::generic::Remote;

/// What a partner is asked to create, and what a lookup must find again.
#[derive(Debug)]
pub struct Request<'a, F> {
    /// The client's own id of it.
    pub reference: &'a str,
    pub amount: Option<Money>,
    /// The kind's fields, as the partner gets them.
    pub fields: F,
}

impl<F> Request<'_, F> {
    /// The first field of the partner's record that is not what we sent. What it does not repeat cannot be compared.
    fn mismatch(&self, remote: &Remote) -> Option<&'static str> {
        let differs = |theirs: &Option<String>, ours: &str| theirs.as_deref().is_some_and(|theirs| theirs != ours);
        if let Some(amount) = self.amount {
            let is_amount = |theirs: &str| Money::parse(theirs, amount.currency()).is_ok_and(|theirs| theirs == amount);
            if differs(&remote.currency, amount.currency().code()) {
                return Some("currency");
            }
            if remote.amount.as_deref().is_some_and(|theirs| !is_amount(theirs)) {
                return Some("amount");
            }
        }
        differs(&remote.reference, self.reference).then_some("reference")
    }
}
