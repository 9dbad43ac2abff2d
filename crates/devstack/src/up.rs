//! The whole stack in the foreground: services, then the real binaries, then one command of each kind, until Ctrl-C.

use crate::children::Children;
use crate::client::{self, Client};
use crate::events::{self, Events};
use crate::inbox::Inbox;
use crate::operator::{self, Operator};
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;
use crate::settings::{self, REGION, Surroundings, WEBHOOK_SECRET};
use crate::{binaries, demo, queues, say, server, sqs};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Ports that are used if they are free.
const API_PORT: u16 = 8080;
const POSTGRES_PORT: u16 = 54329;
const TEST_POSTGRES_PORT: u16 = 54339;
const SQS_PORT: u16 = 9324;
const SANDBOX_PORT: u16 = 8081;

/// Of `/metrics`, where they are free too.
const METRICS_PORTS: [(&str, u16); 2] = [("API", 9464), ("WORKER", 9465)];
const INBOX_PORT: u16 = 8082;
const CONSOLE_PORT: u16 = 8083;

/// What is kept between runs, besides the database.
pub(crate) const SANDBOX: &str = "sandbox.jsonl";

/// How long a child may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the binaries stand on. What is set in the environment already is used instead of starting our own.
struct Services {
    postgres: Option<Postgres>,
    /// With a database that exists.
    database_url: String,
    sqs_url: String,
}

impl Services {
    /// With the data of earlier runs.
    async fn start(home: &Path, stop: &CancellationToken) -> anyhow::Result<Self> {
        let postgres = match given(home, "DATABASE_URL") {
            Some(_) => None,
            None => Some(Postgres::start(home, POSTGRES_PORT).await?),
        };
        Self::around(home, postgres, stop).await
    }

    /// With empty data, on another port: next to a stack that somebody is working with.
    async fn start_fresh(home: &Path, stop: &CancellationToken) -> anyhow::Result<Self> {
        let postgres = match given(home, "DATABASE_URL") {
            Some(_) => None,
            None => Some(Postgres::start_fresh(home, TEST_POSTGRES_PORT).await?),
        };
        Self::around(home, postgres, stop).await
    }

    async fn around(home: &Path, postgres: Option<Postgres>, stop: &CancellationToken) -> anyhow::Result<Self> {
        let own = postgres.as_ref().map(|postgres| postgres.url("holdfast"));
        let database_url = own.or_else(|| given(home, "DATABASE_URL")).context("there is no database")?;
        let sqs_url = match given(home, "AWS_ENDPOINT_URL_SQS") {
            Some(url) => url,
            None => {
                let listener = server::bind(SQS_PORT).await?;
                let url = format!("http://{}", listener.local_addr().context("read the port")?);
                tokio::spawn(sqs::serve(listener, stop.clone()));
                url
            }
        };
        holdfast_store::schema::ensure_database(&database_url).await.context("create the database")?;
        Ok(Self { postgres, database_url, sqs_url })
    }

    async fn stop(&self) -> anyhow::Result<()> {
        match &self.postgres {
            Some(postgres) => postgres.stop().await.context("stop postgres"),
            None => Ok(()),
        }
    }

    /// To write all of its data down would take minutes: each test has a database of its own. Only what failed is kept,
    /// to be looked at: gigabytes.
    async fn abandon(&self, failed: bool) -> anyhow::Result<()> {
        let Some(postgres) = &self.postgres else { return Ok(()) };
        postgres.crash().await.context("end postgres")?;
        if failed { Ok(()) } else { postgres.remove().context("remove its data") }
    }
}

/// A service that the environment names. What an earlier run of ours wrote into `env`, and a shell has read since, is
/// not a service of somebody else's.
#[expect(clippy::disallowed_methods, reason = "services that exist already are named in the environment")]
fn given(home: &Path, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    let ours = fs::read_to_string(home.join("env")).unwrap_or_default();
    let is_ours = ours.lines().any(|line| line == format!("{name}={value}"));
    (!is_ours).then_some(value)
}

/// Runs a command against the services, for the tests. Answers its exit status.
pub async fn run(
    home: &Path,
    with_settings: bool,
    command: &[String],
    stop: &CancellationToken,
) -> anyhow::Result<i32> {
    let services = Services::start_fresh(home, stop).await?;
    let settings = if with_settings { settings_of(&services).await? } else { BTreeMap::new() };
    let (program, arguments) = command.split_first().context("which command?")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(settings)
        .env("DATABASE_URL", &services.database_url)
        .env("AWS_ENDPOINT_URL_SQS", &services.sqs_url)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let status = tokio::select! {
        status = child.wait() => status.context("wait for the command")?.code().unwrap_or(1),
        () = stop.cancelled() => {
            binaries::stop(&mut child, PATIENCE).await?;
            130
        }
    };
    services.abandon(status != 0).await?;
    Ok(status)
}

/// The partners are nowhere, and the API has any port: whoever runs the binaries says where.
async fn settings_of(services: &Services) -> anyhow::Result<BTreeMap<String, String>> {
    let sqs = queues::client(&services.sqs_url, REGION).await;
    let queues = queues::create(&sqs, "").await?;
    let mut environment = settings::environment(&Surroundings {
        database_url: &services.database_url,
        sqs_url: &services.sqs_url,
        sandbox_url: "http://127.0.0.1:9",
        api_port: 0,
        queues: &queues,
    });
    environment.extend(settings::unlimited());
    Ok(environment)
}

/// How the stack is to be.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Wishes {
    /// Begins with empty data.
    #[arg(long)]
    pub fresh: bool,
    /// Publishes events to a private Redis and to a queue, and runs the example order service on each.
    #[arg(long)]
    pub events: bool,
}

/// Starts everything, shows it at work, and stays until `stop`. Goes on with the data of earlier runs, unless it is to be
/// fresh.
pub async fn up(home: &Path, wishes: Wishes, stop: &CancellationToken) -> anyhow::Result<()> {
    let services = if wishes.fresh {
        forget(home)?;
        Services::start_fresh(home, stop).await?
    } else {
        Services::start(home, stop).await?
    };
    let worked = stay(home, &services, wishes, stop).await;
    services.stop().await?;
    worked
}

/// What earlier runs have left beside the database.
fn forget(home: &Path) -> anyhow::Result<()> {
    for kept in [client::FILE, operator::FILE, SANDBOX] {
        let file = home.join(kept);
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        }
    }
    Ok(())
}

async fn stay(home: &Path, services: &Services, wishes: Wishes, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut around = Around::start(home, services, stop).await?;
    let mut events = match wishes.events {
        true => Some(Events::start(home, &services.database_url, &services.sqs_url, wishes.fresh).await?),
        false => None,
    };
    if let Some(events) = &events {
        around.environment.extend(events.sinks());
    }
    let worked = work(home, services, &around, events.as_ref(), stop).await;
    if let Some(events) = &mut events {
        events.stop().await?;
    }
    worked
}

async fn work(
    home: &Path,
    services: &Services,
    around: &Around,
    events: Option<&Events>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    binaries::cli(&around.environment, &["migrate"]).await?;
    let client = Client::keep(home, &around.environment, &services.database_url, &around.inbox_url).await?;
    let operator = Operator::keep(home, &around.environment, &services.database_url).await?;
    let mut children = Children::new(home);
    children.start("holdfast-api", "holdfast-api", &around.environment)?;
    children.start("holdfast-worker", "holdfast-worker", &around.environment)?;
    for service in events.map(Events::services).unwrap_or_default() {
        children.start(events::BINARY, service.name, &service.environment)?;
    }
    write_env(home, around, events, &client, &operator)?;
    let show = async {
        let order = demo::show(&around.api_url, &around.inbox_url, &client.api_key).await?;
        match events {
            Some(events) => events.show(&order).await,
            None => Ok(()),
        }
    };
    let shown = tokio::select! {
        shown = show => shown,
        () = stop.cancelled() => Ok(()),
    };
    if shown.is_ok() && !stop.is_cancelled() {
        let Operator { login, password, .. } = &operator;
        say(format_args!("console: {}/console (login {login}, password {password})", around.console_url));
        say(format_args!("ready: {} (settings in {}/env, Ctrl-C ends)", around.api_url, home.display()));
        children.keep_running(stop).await?;
    }
    children.stop().await?;
    shown
}

/// What listens around the binaries.
struct Around {
    environment: BTreeMap<String, String>,
    api_url: String,
    console_url: String,
    sandbox_url: String,
    inbox_url: String,
}

impl Around {
    async fn start(home: &Path, services: &Services, stop: &CancellationToken) -> anyhow::Result<Self> {
        let sqs = queues::client(&services.sqs_url, REGION).await;
        let queues = queues::create(&sqs, "").await?;
        let sandbox = Sandbox::open(Some(home.join(SANDBOX))).context("open the sandbox's journal")?;
        let api_port = server::free_port(API_PORT).await?;
        let api_url = format!("http://127.0.0.1:{api_port}");
        sandbox.send_webhooks(&format!("{api_url}/api/v1/webhooks"), WEBHOOK_SECRET);
        let sandbox = server::serve(server::bind(SANDBOX_PORT).await?, sandbox.router(), stop.clone())?;
        let inbox = server::serve(server::bind(INBOX_PORT).await?, Inbox::default().router(), stop.clone())?;
        let sandbox_url = format!("http://{sandbox}");
        let mut environment = settings::environment(&Surroundings {
            database_url: &services.database_url,
            sqs_url: &services.sqs_url,
            sandbox_url: &sandbox_url,
            api_port,
            queues: &queues,
        });
        for (name, usual) in METRICS_PORTS {
            let port = server::free_port(usual).await?;
            environment.insert(format!("HOLDFAST__{name}__METRICS_LISTEN"), format!("127.0.0.1:{port}"));
        }
        let console = format!("127.0.0.1:{}", server::free_port(CONSOLE_PORT).await?);
        environment.extend(settings::console(&console));
        let (console_url, inbox_url) = (format!("http://{console}"), format!("http://{inbox}"));
        Ok(Self { environment, api_url, console_url, sandbox_url, inbox_url })
    }
}

/// For shells: `set -a; . .devstack/env`.
fn write_env(
    home: &Path,
    around: &Around,
    events: Option<&Events>,
    client: &Client,
    operator: &Operator,
) -> anyhow::Result<()> {
    let services = events.map(Events::addresses).unwrap_or_default();
    let mut lines: Vec<(&str, &str)> = vec![
        ("HOLDFAST_URL", &around.api_url),
        ("HOLDFAST_API_KEY", &client.api_key),
        ("HOLDFAST_CALLBACK_SECRET", &client.callback_secret),
        ("HOLDFAST_CONSOLE_URL", &around.console_url),
        ("HOLDFAST_CONSOLE_LOGIN", &operator.login),
        ("HOLDFAST_CONSOLE_PASSWORD", &operator.password),
        ("SANDBOX_URL", &around.sandbox_url),
        ("INBOX_URL", &around.inbox_url),
    ];
    lines.extend(services.iter().map(|(name, value)| (*name, value.as_str())));
    lines.extend(around.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(home.join("env"), text).context("write the env file")
}
