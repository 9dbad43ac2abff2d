//! What is attacked, and who stands around it: third parties, an inbox, clients.

use crate::events::Services;
use crate::inbox::Inbox;
use crate::local::Local;
use crate::partner::Partners;
use crate::{Arguments, Command};
use anyhow::Context as _;
use holdfast_app::credentials::create_client;
use holdfast_app::{App, config, pause};
use holdfast_devstack::server;
use holdfast_domain::{ClientNo, Kind};
use holdfast_queue::Queue;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many submit commands here.
const CLIENTS: usize = 3;

/// A stack that runs already. Its partners' URLs must lead here: `…/at/{partner}` of the address where they listen. This
/// program has the environment and the configuration file of the binaries, as `holdfast` has. These must allow callbacks to
/// the inbox.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Deployed {
    /// Of the API. May be given several times.
    #[arg(long = "api-url", required = true)]
    api_urls: Vec<String>,
    /// Where partners are to listen.
    #[arg(long)]
    partners_listen: SocketAddr,
    /// Where callbacks are received.
    #[arg(long)]
    inbox_listen: SocketAddr,
    /// Under which URL the workers reach that. Default: http:// and the address.
    #[arg(long)]
    inbox_url: Option<String>,
    /// What every partner signs its webhooks with (Standard Webhooks), `whsec_…`. Without one none are sent.
    #[arg(long, env = "CHAOS_WEBHOOK_SECRET", hide_env_values = true)]
    pub(crate) webhook_secret: Option<String>,
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml")]
    config: PathBuf,
}

pub(crate) struct World {
    pub(crate) partners: Partners,
    pub(crate) inbox: Inbox,
    pub(crate) clients: Vec<ClientNo>,
    pub(crate) api_keys: Vec<String>,
    pub(crate) api_urls: Vec<String>,
    pub(crate) pool: PgPool,
    pub(crate) app: App,
    journal: Queue,
    /// What faults can be done to. A deployed stack has only those of its surroundings.
    local: Option<Local>,
    /// Who builds on the events, where that is what is attacked.
    services: Option<Services>,
    stop: CancellationToken,
}

impl World {
    /// With a stack of its own.
    pub(crate) async fn start(home: &Path, arguments: &Arguments, stop: &CancellationToken) -> anyhow::Result<Self> {
        let (partners, inbox) = (Partners::new(arguments.seed, !arguments.zombies), Inbox::new(arguments.seed));
        let partners_url =
            format!("http://{}", server::serve(server::bind(0).await?, partners.router(), stop.clone())?);
        let inbox_url = format!("http://{}", server::serve(server::bind(0).await?, inbox.router(), stop.clone())?);
        let mut local = Local::start(home, &partners_url, stop).await?;
        let services = match arguments.command {
            Some(Command::Events) => Some(local.start_services().await.context("start what consumes events")?),
            _ => None,
        };
        let app = App::new(config::from_pairs(local.environment())?, "holdfast-chaos").await?;
        holdfast_store::schema::migrate(&app.pool).await.context("migrate")?;
        let journal = local.sqs.queue(app.queues.journal().name());
        local.keep_running().await?;
        if let Some(services) = &services {
            services.keep_running().await?;
        }
        let api_urls = local.api_urls.clone();
        let around = Around { partners, inbox, inbox_url, api_urls, journal };
        let world = Self::around(around, app, Some(local), stop).await?;
        Ok(Self { services, ..world })
    }

    /// With one that runs already.
    pub(crate) async fn join(
        arguments: &Arguments,
        deployed: &Deployed,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let (partners, inbox) = (Partners::new(arguments.seed, !arguments.zombies), Inbox::new(arguments.seed));
        let listen = async |address: SocketAddr| {
            TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
        };
        server::serve(listen(deployed.partners_listen).await?, partners.router(), stop.clone())?;
        let inbox_at = server::serve(listen(deployed.inbox_listen).await?, inbox.router(), stop.clone())?;
        let inbox_url = deployed.inbox_url.clone().unwrap_or_else(|| format!("http://{inbox_at}"));
        let app = App::new(config::load(&deployed.config)?, "holdfast-chaos").await?;
        app.check_schema().await?;
        let journal = app.queues.journal().clone();
        let api_urls = deployed.api_urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        let around = Around { partners, inbox, inbox_url, api_urls, journal };
        Self::around(around, app, None, stop).await
    }

    async fn around(around: Around, app: App, local: Option<Local>, stop: &CancellationToken) -> anyhow::Result<Self> {
        let Around { partners, inbox, inbox_url, api_urls, journal } = around;
        let run = format!("chaos-{:08x}", fastrand::u32(..));
        let url = format!("{inbox_url}/callbacks");
        let (mut clients, mut api_keys) = (Vec::new(), Vec::new());
        for no in 0..CLIENTS {
            let client = create_client(&app, &format!("{run}-{no}"), Some(&url)).await?.context("the name is free")?;
            clients.push(client.client);
            api_keys.push(client.api_key);
        }
        let pool = app.pool.connections().clone();
        let stop = stop.clone();
        let services = None;
        let world = Self { partners, inbox, clients, api_keys, api_urls, pool, app, journal, local, services, stop };
        world.wait_until_ready().await;
        Ok(world)
    }

    pub(crate) fn webhooks_url(&self) -> String {
        format!("{}/api/v1/webhooks", self.api_urls[0])
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The stack, if it is ours.
    pub(crate) fn local(&self) -> anyhow::Result<&Local> {
        self.local.as_ref().context("a stack of our own is needed for that")
    }

    /// Who builds on the events.
    pub(crate) fn services(&self) -> anyhow::Result<&Services> {
        self.services.as_ref().context("nobody consumes events here")
    }

    pub(crate) const fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Who takes part in a kind of command.
    pub(crate) fn partners_of(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Transaction => vec![self.app.config.transactions.partner.clone()],
            Kind::Refund => self.app.config.refunds.partners.clone(),
            Kind::Order => self.app.config.orders.partner.iter().cloned().collect(),
        }
    }

    pub(crate) fn all_partners(&self) -> Vec<String> {
        Kind::ALL.into_iter().flat_map(|kind| self.partners_of(kind)).collect()
    }

    /// As Postgres knows them.
    pub(crate) fn client_nos(&self) -> Vec<i32> {
        self.clients.iter().map(|client| client.0).collect()
    }

    pub(crate) async fn keep_running(&self) -> anyhow::Result<()> {
        match &self.local {
            Some(local) => local.keep_running().await,
            None => Ok(()),
        }
    }

    pub(crate) async fn wait_until_ready(&self) {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
        let client = client.expect("a plain client");
        for url in &self.api_urls {
            let ready = format!("{url}/readyz");
            while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                if self.is_stopping() {
                    return;
                }
                // One that was asked to end just before may end only now.
                self.keep_running().await.ok();
                pause(Duration::from_millis(50)).await;
            }
        }
    }

    /// Ends every fault.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.partners.be_nice();
        self.inbox.be_nice();
        if let Some(local) = &self.local {
            local.heal(&self.pool).await?;
        }
        self.wait_until_ready().await;
        Ok(())
    }

    /// Waits until nothing is owed to our clients and the journal is read. Answers whether that came to be.
    pub(crate) async fn settle(&self, patience: Duration) -> bool {
        let started = Instant::now();
        let mut quiet = 0;
        while started.elapsed() < patience && !self.is_stopping() {
            let sql = "select count(*) from wakeups join commands using (no) where client = any($1)";
            let owed = sqlx::query_scalar::<_, i64>(sql).bind(self.client_nos()).fetch_one(&self.pool).await;
            // Journal entries may be invisible for their visibility timeout: what is accepted by queue has a row in the end.
            quiet = if owed.is_ok_and(|owed| owed == 0) { quiet + 1 } else { 0 };
            // A connection that was silenced may stay so.
            let counts = async { tokio::time::timeout(Duration::from_secs(2), self.journal.counts()).await.ok()?.ok() };
            if quiet > 20 && counts.await.is_some_and(holdfast_queue::Counts::is_empty) {
                return true;
            }
            self.keep_running().await.ok();
            pause(Duration::from_millis(100)).await;
        }
        false
    }

    pub(crate) async fn end(&self) {
        if let Some(services) = &self.services {
            services.end().await;
        }
        if let Some(local) = &self.local {
            local.end().await;
        }
    }
}

/// What stands around a stack.
struct Around {
    partners: Partners,
    inbox: Inbox,
    inbox_url: String,
    api_urls: Vec<String>,
    journal: Queue,
}
