//! The environment that the binaries get.

use std::collections::BTreeMap;

/// For an emulator on the loopback; not a secret.
pub const SERVER_KEY: &str = "aG9sZGZhc3QgZGV2c3RhY2sga2V5LCBuZXZlciBpbiBwcm9kdWN0aW9u";

pub const REGION: &str = "eu-west-1";

/// What runs around the binaries.
pub struct Surroundings<'a> {
    pub database_url: &'a str,
    pub sqs_url: &'a str,
    pub sandbox_url: &'a str,
    pub api_port: u16,
    /// The queue of transactions.
    pub transactions: &'a str,
}

/// Configuration as environment variables. Everything that is not named here has its default.
pub fn environment(surroundings: &Surroundings<'_>) -> BTreeMap<String, String> {
    let Surroundings { database_url, sqs_url, sandbox_url, api_port, transactions } = surroundings;
    let listen = format!("127.0.0.1:{api_port}");
    let pairs = [
        ("DATABASE_URL", *database_url),
        ("AWS_ENDPOINT_URL_SQS", *sqs_url),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("HOLDFAST__SERVER_KEY", SERVER_KEY),
        ("HOLDFAST__API__LISTEN", &listen),
        ("HOLDFAST__QUEUES__TRANSACTIONS", transactions),
        ("HOLDFAST__PARTNERS__PROCESSOR__BASE_URL", sandbox_url),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
