//! Measures the release binaries over HTTP: load, third party, callback sink, SQS and Postgres run on the same machine, each
//! in a process of its own.

mod concert;
mod cost;
mod ledger;
mod load;
mod mock;
mod parts;
mod publishing;
mod report;
mod scenarios;
mod stack;
mod targets;

use anyhow::Context as _;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use clap::{Parser, Subcommand, ValueEnum as _};
use holdfast_app::{shutdown, telemetry};
use holdfast_devstack::postgres::Postgres;
use holdfast_devstack::{server, sqs};
use parts::Parts;
use report::Report;
use scenarios::Scenario;
use serde_json::Value;
use stack::Stack;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures accepting and working, and compares with the targets and with an earlier report.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to measure; if not given, everything but `big-table`, `flood`, `publishing` and `soak`, which take long.
    #[arg(long, value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// How often; the median counts.
    #[arg(long, env = "RUNS", default_value_t = 3)]
    runs: usize,
    /// Commands that are there already in `big-table`: ten million take several gigabytes and minutes.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// An earlier report.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Where data and logs are kept, and the report is written.
    #[arg(long, default_value = "target/bench")]
    home: PathBuf,
    /// Does not measure first what the parts cost.
    #[arg(long)]
    without_parts: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What it starts itself as.
#[derive(Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Sqs { listen: SocketAddr, calls: SocketAddr },
    #[command(hide = true)]
    Mock { listen: SocketAddr },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init("warn");
    // One thread each: what is measured needs the others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    match arguments.role {
        Some(Role::Sqs { listen, calls }) => runtime.block_on(serve_sqs(listen, calls)),
        Some(Role::Mock { listen }) => {
            runtime.block_on(async { mock::serve(TcpListener::bind(listen).await.context("listen")?).await })
        }
        None => runtime.block_on(measure(arguments)),
    }
}

async fn serve_sqs(listen: SocketAddr, counted: SocketAddr) -> anyhow::Result<()> {
    let (calls, distance, stop) = (sqs::Calls::default(), sqs::Distance::default(), CancellationToken::new());
    let (known, far) = (calls.clone(), distance.clone());
    let set_distance =
        async move |ms: String| ms.parse().map(|ms| far.set_ms(ms)).map_err(|_not_a_number| StatusCode::BAD_REQUEST);
    let router = Router::new().route("/", get(async move || Json(known.get()))).route("/distance", put(set_distance));
    server::serve(TcpListener::bind(counted).await.context("listen")?, router, stop.clone())?;
    sqs::serve_measured(TcpListener::bind(listen).await.context("listen")?, (calls, distance), stop).await
}

async fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    std::fs::create_dir_all(&arguments.home).context("create the home folder")?;
    let home = arguments.home.canonicalize().context("find the home folder")?;
    let baseline = match &arguments.baseline {
        Some(file) => serde_json::from_slice(&std::fs::read(file).context("read the baseline")?)?,
        None => Value::Null,
    };
    // What it counts costs less than a hundredth of what is counted.
    let settings = "shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track_planning = on\n";
    let postgres = Postgres::start_fresh_with(&home, 54361, settings).await?;
    let scenarios = match arguments.scenarios.is_empty() {
        true => Scenario::value_variants().iter().copied().filter(|scenario| scenario.is_usual()).collect(),
        false => arguments.scenarios,
    };
    let mut report = Report::default();
    let all = async {
        for no in 0..arguments.runs {
            if !arguments.without_parts {
                let name = format!("bench_parts_{no}");
                let stack = Stack::start(&postgres, &home, &name).await.context("start a stack")?;
                report.parts.push(Parts::measure(&stack).await?);
                stack.end().await?;
            }
            for scenario in &scenarios {
                let measured = scenarios::run(*scenario, &postgres, &home, no, arguments.rows).await;
                report.add(*scenario, measured.with_context(|| format!("measure {scenario:?}"))?);
            }
        }
        anyhow::Ok(())
    };
    let measured = stop.run_until_cancelled(all).await;
    postgres.stop().await.context("stop postgres")?;
    measured.unwrap_or(Ok(()))?;
    report.write(&home.join("report.json"), &baseline)?;
    report.print(&baseline);
    Ok(())
}
