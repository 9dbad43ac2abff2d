//! One file per noun.

pub(crate) mod callbacks;
pub(crate) mod commands;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod lists;
pub(crate) mod webhooks;
