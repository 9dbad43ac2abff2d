//! The operators' console, in a real browser and as an attacker would reach it.

mod browser;
mod guarded;

use holdfast_testkit::{Options, Stack, free_port};
use serde_json::Value;
use std::net::SocketAddr;

const LOGIN: &str = "jane";

/// A stack with a console, and somebody who may use it.
struct Manned {
    stack: Stack,
    /// Of the console.
    url: String,
    password: String,
}

impl Manned {
    async fn start() -> Self {
        let mut manned = Self::with(None, Vec::new()).await;
        manned.stack.start_worker();
        manned
    }

    async fn with(database_address: Option<SocketAddr>, more: Vec<(&'static str, String)>) -> Self {
        let listen = format!("127.0.0.1:{}", free_port().await);
        let url = format!("http://{listen}");
        let console = [
            ("HOLDFAST__CONSOLE__LISTEN", listen),
            ("HOLDFAST__CONSOLE__PLAIN_HTTP", "true".to_owned()),
            ("HOLDFAST__CONSOLE__SAMPLE_MS", "500".to_owned()),
        ];
        let environment = console.into_iter().chain(more).collect();
        let stack = Stack::with(Options { environment, database_address, ..Options::default() }).await;
        let created = stack.cli(&["operators", "create", LOGIN]).await;
        let created: Value = serde_json::from_str(&created).expect("JSON");
        let password = created["password"].as_str().expect("a password").to_owned();
        Self { stack, url, password }
    }
}
