//! The way to the API: as a client, with its key.

use crate::exit;
use crate::output::note;
use crate::problem;
use crate::target::Target;
use anyhow::{Context as _, ensure};
use clap::Args;
use holdfast_app::pause;
use holdfast_domain::Kind;
use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, redirect};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than the API takes to say that it cannot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two attempts: at first, doubled to the cap, which bounds what the API asks for too.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_CAP: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Api {
    /// Where the API is.
    #[arg(long, env = "HOLDFAST_URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: Url,
    /// Holds the API key and nothing else. Without it the key is in the environment, as HOLDFAST_API_KEY.
    #[arg(long, value_name = "FILE", global = true)]
    api_key_file: Option<PathBuf>,
    /// For how long a request is repeated that nobody answers, or that is answered with 503 or 429.
    #[arg(long, default_value_t = 30, global = true)]
    retry_for_s: u64,
}

impl Api {
    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        let key = match &self.api_key_file {
            Some(file) => read_key(file)?,
            None => environment_key()?,
        };
        // A moved API must be configured, not followed with our key.
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT);
        let http = http.user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")));
        // No proxy leads back to this machine.
        let http = if is_this_machine(&self.url) { http.no_proxy() } else { http };
        let http = http.build().context("build an HTTP client")?;
        Ok(Client { http, url: self.url.clone(), key, patience: Duration::from_secs(self.retry_for_s) })
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn read_key(file: &Path) -> anyhow::Result<String> {
    let key = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(key.trim().to_owned())
}

/// Never an argument: those of a process can be read by everybody on the machine.
#[expect(clippy::disallowed_methods, reason = "clap would make an argument of it")]
fn environment_key() -> anyhow::Result<String> {
    let key = std::env::var("HOLDFAST_API_KEY").unwrap_or_default();
    match key.trim() {
        "" => Err(exit::usage("set HOLDFAST_API_KEY, or name a file that holds the key: --api-key-file")),
        key => Ok(key.to_owned()),
    }
}

pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    key: String,
    patience: Duration,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// JSON, or null.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn etag(&self) -> Option<String> {
        self.header(ETAG.as_str()).map(str::to_owned)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
    }
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, self.address(path))
    }

    fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).bearer_auth(&self.key).timeout(ANSWER_TIMEOUT)
    }

    /// Whatever stands in front of the API may have a path of its own.
    fn address(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.send(self.request(Method::GET, path)).await?.body)
    }

    /// A page that is asked for with these parameters.
    pub(crate) async fn query(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut url = self.address(path);
        url.query_pairs_mut().extend_pairs(parameters);
        Ok(self.send(self.request_to(Method::GET, url)).await?.body)
    }

    /// Where a command stands. The answer is held back until it is settled, or, with an `etag`, until it is another.
    pub(crate) async fn wait(&self, path: &str, etag: Option<&str>, wait: Duration) -> anyhow::Result<Answer> {
        let mut request = self.request(Method::GET, path).timeout(ANSWER_TIMEOUT + wait);
        if wait >= Duration::from_secs(1) {
            request = request.header("prefer", format!("wait={}", wait.as_secs()));
        }
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        self.send(request).await
    }

    /// The path of a command, whichever its kind.
    pub(crate) async fn locate(&self, target: Target) -> anyhow::Result<String> {
        if let Some(kind) = target.kind {
            return Ok(target.path(kind));
        }
        for kind in Kind::ALL {
            match self.get(&target.path(kind)).await {
                Err(error) if exit::is_not_found(&error) => {}
                found => return found.map(|_| target.path(kind)),
            }
        }
        Err(exit::not_found(format!("there is no command {}", target.id)))
    }

    /// An answer that is no error. The same request is made again while there is none, or the API cannot: with the same
    /// body it has the same idempotency key.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let (until, mut wait, mut told) = (Instant::now() + self.patience, FIRST_PAUSE, false);
        loop {
            let attempt = request.try_clone().context("a body that is a stream cannot be sent twice")?;
            let (error, asked) = match self.attempt(attempt).await {
                Ok(answer) if is_passing(answer.status) => (problem::of(&answer), answer.retry_after()),
                Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => return Ok(answer),
                // A page of somebody's that stands in front of the API, or in its place, is no answer of it.
                Ok(answer) if answer.status.is_success() => {
                    ensure!(
                        answer.body.is_object(),
                        "{} answers {} with no JSON: is it the API?",
                        self.url,
                        answer.status
                    );
                    return Ok(answer);
                }
                Ok(answer) => return Err(problem::of(&answer)),
                Err(error) if error.is_builder() => return Err(error.into()),
                Err(error) => (anyhow::Error::new(error.without_url()).context(format!("ask {}", self.url)), None),
            };
            let pause_for = asked.unwrap_or(wait).min(PAUSE_CAP);
            if Instant::now() + pause_for >= until {
                return Err(error);
            }
            if !told {
                note(format_args!("{error:#}; trying again for {} s", self.patience.as_secs()));
                told = true;
            }
            pause(pause_for).await;
            wait = (wait * 2).min(PAUSE_CAP);
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        Ok(Answer { status, headers, body })
    }
}

/// Not promised, one too many, or not even seen by the API: the same again may work.
fn is_passing(status: StatusCode) -> bool {
    const PASSING: [StatusCode; 4] = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    PASSING.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let url = url.parse().expect("a URL");
        let http = reqwest::Client::builder().build().expect("a client");
        Client { http, url, key: "hfk_x".to_owned(), patience: Duration::ZERO }
    }

    #[test]
    fn the_api_may_stand_below_a_path() {
        let at = |url: &str| client(url).address("/api/v1/orders").to_string();
        assert_eq!(at("http://127.0.0.1:8080"), "http://127.0.0.1:8080/api/v1/orders");
        assert_eq!(at("https://host/payments/"), "https://host/payments/api/v1/orders");
    }

    #[test]
    fn proxies_are_for_other_machines() {
        for (url, is) in
            [("http://127.0.0.1:1", true), ("http://[::1]", true), ("http://localhost", true), ("http://a", false)]
        {
            assert_eq!(is_this_machine(&url.parse().expect("a URL")), is, "{url}");
        }
    }
}
