//! What clients may not do, over real sockets, and that others are served meanwhile.

mod clients;
mod connections;
mod headers;
mod http2;
mod overload;
mod requests;
mod shares;

use holdfast_app::credentials::create_client;
use holdfast_testkit::{Options, Stack, eventually, free_port};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A stack without a worker, whose API has these settings and tells what it has turned away.
struct Limited {
    stack: Stack,
    metrics: String,
}

impl Limited {
    async fn with(settings: &[(&'static str, &str)]) -> Self {
        Self::behind(settings, Options::default()).await
    }

    async fn behind(settings: &[(&'static str, &str)], options: Options) -> Self {
        let listen = format!("127.0.0.1:{}", free_port().await);
        let mut environment: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        environment.push(("HOLDFAST__API__METRICS_LISTEN", listen.clone()));
        let stack = Stack::with(Options { environment, ..options }).await;
        Self { stack, metrics: format!("http://{listen}/metrics") }
    }

    /// Until a series, as it is written, has this value.
    async fn becomes(&self, series: &str, value: f64) {
        eventually(&format!("{series} is {value}"), async || {
            let text = reqwest::get(&self.metrics).await.ok()?.text().await.ok()?;
            let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse::<f64>().ok());
            (found == Some(value)).then_some(())
        })
        .await;
    }

    async fn wire(&self) -> Wire {
        let address = self.stack.api_url.trim_start_matches("http://");
        Wire(TcpStream::connect(address).await.expect("connect"))
    }

    /// Its key.
    async fn another_client(&self, name: &str) -> String {
        create_client(&self.stack.app, name, None).await.expect("create it").expect("the name is free").api_key
    }

    async fn lives(&self) {
        assert_eq!(self.get("/livez").await.status(), StatusCode::OK);
    }

    async fn get(&self, path: &str) -> Response {
        self.stack.request("GET", path).send().await.expect("an answer")
    }
}

/// A connection of our own, for what no client sends that means well.
struct Wire(TcpStream);

impl Wire {
    /// Whether it could be sent.
    async fn send(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.0.write_all(text.as_ref()).await.is_ok()
    }

    /// The head of an answer and its body, as long as that says it is; whatever there is where the other side hangs up.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let mut space = [0; 4096];
            match self.0.read(&mut space).await {
                Ok(0) | Err(_) => break,
                Ok(read) => answer.extend_from_slice(&space[..read]),
            }
        }
        String::from_utf8(answer).expect("text")
    }

    /// Until the other side hangs up.
    async fn ended(&mut self) {
        let mut rest = Vec::new();
        drop(self.0.read_to_end(&mut rest).await);
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    body.len() >= length.unwrap_or(usize::MAX)
}

/// Of a POST to the transactions, with whatever else.
fn head(stack: &Stack, more: &str) -> String {
    let key = &stack.api_key;
    format!(
        "POST /api/v1/transactions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

fn transaction(key: &str) -> Value {
    json!({ "transactionId": key, "amount": "1.00", "currency": "EUR" })
}

/// The type of a problem, without the path before it.
async fn slug(response: Response) -> String {
    let problem: Value = response.json().await.expect("a problem");
    problem["type"].as_str().expect("a type").trim_start_matches("/problems/").to_owned()
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}
