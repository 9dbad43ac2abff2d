//! The one way to build an HTTP client.

use reqwest::redirect::Policy;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// No redirects (a moved endpoint must be configured, not followed with our credentials), no proxy from the environment,
/// and a bound on connecting. The total deadline is set per request, because each operation has its own.
pub fn build() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
        .build()
}
