//! The steps that handlers are made of.

mod look_up;
mod settle;
mod submit;

pub use settle::settle;
pub use submit::submit;

use holdfast_domain::money::Money;

/// What a partner is asked to create, and what a lookup must find again.
#[derive(Debug)]
pub struct Request<'a, F> {
    /// The client's own id of it.
    pub reference: &'a str,
    pub amount: Option<Money>,
    /// The kind's fields, as the partner gets them.
    pub fields: F,
}
