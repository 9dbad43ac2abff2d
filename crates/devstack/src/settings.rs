//! The environment that the binaries get.

use holdfast_domain::Kind;
use holdfast_partners::signature::show_secret;
use std::collections::{BTreeMap, HashMap};

/// For an emulator on the loopback; not a secret.
pub const SERVER_KEY: &str = "aG9sZGZhc3QgZGV2c3RhY2sga2V5LCBuZXZlciBpbiBwcm9kdWN0aW9u";

/// What the sandbox signs its webhooks with. For the loopback; not a secret.
pub const WEBHOOK_SECRET: &[u8; 32] = b"holdfast sandbox webhook secret.";

/// Who takes part in a refund, each a sandbox of its own.
pub const REFUND_PARTNERS: [&str; 4] = ["ticketing", "reservations", "ledger", "gateway"];

/// Who fulfils orders.
pub const ORDER_PARTNER: &str = "warehouse";

/// The inbox listens on this machine, where in earnest no callback may go.
const CALLBACKS: [(&str, &str); 3] = [
    ("HOLDFAST__CALLBACKS__ALLOW_HTTP", "true"),
    ("HOLDFAST__CALLBACKS__PORTS", "1-65535"),
    ("HOLDFAST__CALLBACKS__ALLOW", "127.0.0.0/8,::1,localhost"),
];

pub const REGION: &str = "eu-west-1";

/// What runs around the binaries.
pub struct Surroundings<'a> {
    pub database_url: &'a str,
    pub sqs_url: &'a str,
    pub sandbox_url: &'a str,
    pub api_port: u16,
    /// Queue names by their key in `terraform/queues.json`.
    pub queues: &'a HashMap<String, String>,
}

/// Configuration as environment variables. Everything that is not named here has its default.
pub fn environment(surroundings: &Surroundings<'_>) -> BTreeMap<String, String> {
    let Surroundings { database_url, sqs_url, sandbox_url, api_port, queues } = surroundings;
    let listen = format!("127.0.0.1:{api_port}");
    let pairs = [
        ("DATABASE_URL", *database_url),
        ("AWS_ENDPOINT_URL_SQS", *sqs_url),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("HOLDFAST__SERVER_KEY", SERVER_KEY),
        ("HOLDFAST__API__LISTEN", &listen),
        // Several of them run beside one another.
        ("HOLDFAST__API__METRICS_LISTEN", "127.0.0.1:0"),
        ("HOLDFAST__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
        // Nobody spreads requests here.
        ("HOLDFAST__API__DRAIN_MS", "0"),
        ("HOLDFAST__PARTNERS__PROCESSOR__BASE_URL", *sandbox_url),
        ("HOLDFAST__REFUNDS__PARTNERS", &REFUND_PARTNERS.join(",")),
        ("HOLDFAST__ORDERS__PARTNER", ORDER_PARTNER),
    ];
    let pairs = pairs.into_iter().chain(CALLBACKS).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let partners = REFUND_PARTNERS.into_iter().chain([ORDER_PARTNER]).map(|partner| {
        let name = format!("HOLDFAST__PARTNERS__{}__BASE_URL", partner.to_uppercase());
        (name, format!("{sandbox_url}/at/{partner}"))
    });
    let secrets = REFUND_PARTNERS.into_iter().chain([ORDER_PARTNER, "processor"]).map(|partner| {
        let name = format!("HOLDFAST__PARTNERS__{}__WEBHOOK_SECRET", partner.to_uppercase());
        (name, show_secret(WEBHOOK_SECRET))
    });
    let keys = Kind::ALL.into_iter().map(Kind::plural).chain(["journal"]);
    let queues =
        keys.filter_map(|key| Some((format!("HOLDFAST__QUEUES__{}", key.to_uppercase()), queues.get(key)?.clone())));
    pairs.chain(partners).chain(secrets).chain(queues).collect()
}

/// What lets clients ask for as much as they like, for whoever drives load.
pub fn unlimited() -> [(String, String); 3] {
    let names = ["SUBMISSIONS", "READS", "UNKNOWN_KEYS"];
    names.map(|name| (format!("HOLDFAST__LIMITS__{name}_PER_S"), "0".to_owned()))
}

/// What makes the API serve the console there, for a browser on this machine.
pub fn console(listen: &str) -> [(String, String); 2] {
    let pairs = [("HOLDFAST__CONSOLE__LISTEN", listen), ("HOLDFAST__CONSOLE__PLAIN_HTTP", "true")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
}
