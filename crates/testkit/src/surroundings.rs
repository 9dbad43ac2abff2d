//! The services that a test finds, and its own share of them.

use holdfast_app::{App, config};
use holdfast_devstack::server;
use holdfast_store::Pool;
use holdfast_store::pool::Limits;
use sqlx::{Connection as _, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use url::Url;

#[expect(clippy::disallowed_methods, reason = "the services are named in the environment")]
pub(crate) fn service(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}

/// Unique in this run and, by the process id, among runs on the same services.
pub(crate) fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// See [`server::quiet_port`].
pub async fn free_port() -> u16 {
    server::quiet_port().await.expect("find a free port")
}

/// A database of the test's own, on the server that the environment names.
pub(crate) async fn database(name: &str) -> String {
    let server = service("DATABASE_URL");
    let mut connection = PgConnection::connect(&server).await.expect("connect to postgres");
    let sql = format!("create database \"{name}\"");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("create a database");
    let mut url = Url::parse(&server).expect("DATABASE_URL is a URL");
    url.set_path(name);
    url.into()
}

pub(crate) fn redirected(database_url: &str, address: SocketAddr) -> String {
    let mut url = Url::parse(database_url).expect("a URL");
    url.set_ip_host(address.ip()).expect("a host");
    url.set_port(Some(address.port())).expect("a port");
    url.into()
}

/// A migrated database of the test's own, for tests of single statements.
pub async fn database_alone() -> Pool {
    let url = database(&unique_name()).await;
    let limits = Limits {
        connections: 60,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        lock_timeout: Duration::from_secs(10),
    };
    let pool = Pool::lazy(&url, "holdfast-test", limits).expect("a URL");
    holdfast_store::schema::migrate(&pool).await.expect("migrate");
    pool
}

/// A connection to the server's own database, for what a test does to its own one from outside.
pub async fn admin() -> PgPool {
    PgPool::connect(&service("DATABASE_URL")).await.expect("connect to postgres")
}

/// The same configuration that the binaries read, for looking behind the scenes.
pub(crate) async fn app(environment: &BTreeMap<String, String>, database_url: &str) -> App {
    let mut environment = environment.clone();
    // How soon a binary gives up is its own affair.
    environment.retain(|name, _| !name.starts_with("HOLDFAST__DATABASE__"));
    environment.insert("DATABASE_URL".to_owned(), database_url.to_owned());
    let config = config::from_pairs(environment).expect("valid configuration");
    App::new(config, "holdfast-test").await.expect("an app")
}

/// Where the binaries of this test log.
pub(crate) fn logs(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("find this program");
    let target = this.ancestors().nth(3).expect("target/debug/deps").to_owned();
    let logs = target.join("test-logs").join(name);
    std::fs::create_dir_all(&logs).expect("create the folder of logs");
    logs
}
