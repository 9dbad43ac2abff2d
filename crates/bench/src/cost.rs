//! What a run has cost: CPU time and memory of each process, statements and WAL of Postgres, calls of SQS.

use crate::stack::Stack;
use anyhow::Context as _;
use serde::Serialize;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fs;
use tokio::process::Child;

/// Of Linux, for everybody.
const TICK_MS: u64 = 10;

/// What statements of one text cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    pub(crate) calls: f64,
    pub(crate) rows: f64,
    pub(crate) plan_us: f64,
    pub(crate) execute_us: f64,
}

impl Statement {
    /// Per command.
    fn since(self, earlier: Self, commands: f64) -> Self {
        Self {
            calls: (self.calls - earlier.calls) / commands,
            rows: (self.rows - earlier.rows) / commands,
            plan_us: (self.plan_us - earlier.plan_us) / commands,
            execute_us: (self.execute_us - earlier.execute_us) / commands,
        }
    }

    fn us(&self) -> f64 {
        self.plan_us + self.execute_us
    }
}

/// Counters that only rise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    cpu_ms: BTreeMap<&'static str, u64>,
    pub(crate) rss_mb: BTreeMap<&'static str, f64>,
    statements: BTreeMap<String, Statement>,
    transactions: i64,
    wal_bytes: i64,
    sqs_calls: BTreeMap<String, u64>,
}

/// Per command.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    /// Of each process.
    pub(crate) cpu_ms: BTreeMap<&'static str, f64>,
    /// Of the API, the worker, Postgres and the queue.
    pub(crate) ours_cpu_ms: f64,
    pub(crate) statements: f64,
    /// Of Postgres, by their text, the dearest first.
    pub(crate) by_statement: Vec<(String, Statement)>,
    pub(crate) wal_bytes: f64,
    pub(crate) sqs_calls: f64,
    pub(crate) sqs_operations: BTreeMap<String, f64>,
    /// At the end, resident.
    pub(crate) rss_mb: BTreeMap<&'static str, f64>,
}

impl Meter {
    pub(crate) async fn read(stack: &Stack) -> anyhow::Result<Self> {
        let mut meter = Self::default();
        let processes = [
            ("api", stack.api.as_ref()),
            ("worker", stack.worker.as_ref()),
            ("publisher", stack.publisher.as_ref()),
            ("queue", Some(&stack.sqs)),
            ("mock", Some(&stack.mock)),
        ];
        for (name, child) in processes {
            if let Some(pid) = child.and_then(Child::id) {
                meter.cpu_ms.insert(name, cpu_ms(pid, false)?);
                meter.rss_mb.insert(name, rss_mb(pid)?);
            }
        }
        meter.cpu_ms.insert("load", cpu_ms(std::process::id(), false)?);
        let sql = "select (select sum(xact_commit + xact_rollback)::bigint from pg_stat_database),
                          pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
        let (transactions, wal): (i64, i64) = sqlx::query_as(sql).fetch_one(&stack.pool).await?;
        meter.cpu_ms.insert("postgres", family_cpu_ms(postmaster(&stack.pool).await?)?);
        (meter.transactions, meter.wal_bytes) = (transactions, wal);
        meter.statements = statements(&stack.pool).await?;
        meter.sqs_calls = stack.sqs_calls().await?;
        Ok(meter)
    }

    /// From an earlier reading to this one.
    pub(crate) fn since(&self, earlier: &Self, commands: u64) -> Cost {
        let commands = commands.max(1) as f64;
        let cpu_ms: BTreeMap<_, _> = self
            .cpu_ms
            .iter()
            .map(|(name, ms)| (*name, (ms - earlier.cpu_ms.get(name).unwrap_or(&0).min(ms)) as f64 / commands))
            .collect();
        let ours = ["api", "worker", "postgres", "queue"];
        let sqs_operations: BTreeMap<_, _> = self
            .sqs_calls
            .iter()
            .map(|(name, count)| (name.clone(), (count - earlier.sqs_calls.get(name).unwrap_or(&0)) as f64 / commands))
            .collect();
        let earlier_of = |text: &str| earlier.statements.get(text).copied().unwrap_or_default();
        let mut by_statement: Vec<_> = self
            .statements
            .iter()
            .map(|(text, now)| (text.clone(), now.since(earlier_of(text), commands)))
            .filter(|(_, cost)| cost.calls > 0.0)
            .collect();
        by_statement.sort_by(|(_, one), (_, other)| other.us().total_cmp(&one.us()));
        Cost {
            ours_cpu_ms: ours.into_iter().filter_map(|name| cpu_ms.get(name)).sum(),
            cpu_ms,
            statements: (self.transactions - earlier.transactions) as f64 / commands,
            by_statement,
            wal_bytes: (self.wal_bytes - earlier.wal_bytes) as f64 / commands,
            sqs_calls: sqs_operations.values().sum(),
            sqs_operations,
            rss_mb: self.rss_mb.clone(),
        }
    }
}

/// The server itself, whose children the connections are.
pub(crate) async fn postmaster(pool: &PgPool) -> anyhow::Result<u32> {
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(pool).await.context("ask for a pid")?;
    Ok(stat(backend as u32)?.parent)
}

async fn statements(pool: &PgPool) -> anyhow::Result<BTreeMap<String, Statement>> {
    let sql = r"select regexp_replace(query, '\s+', ' ', 'g'), sum(calls)::float8, sum(rows)::float8,
                      sum(total_plan_time * 1000)::float8, sum(total_exec_time * 1000)::float8
                 from pg_stat_statements
                 join pg_database on oid = dbid
                where datname = current_database()
                group by 1";
    let rows: Vec<(String, f64, f64, f64, f64)> =
        sqlx::query_as(sql).fetch_all(pool).await.context("read the statements")?;
    let statement = |(text, calls, rows, plan_us, execute_us)| (text, Statement { calls, rows, plan_us, execute_us });
    Ok(rows.into_iter().map(statement).collect())
}

struct Stat {
    parent: u32,
    own_ticks: u64,
    /// With those of children that have ended.
    all_ticks: u64,
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("read the times of {pid}"))?;
    // The name stands in parentheses, and may contain anything.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let own_ticks = field(11) + field(12);
    Ok(Stat { parent: field(1) as u32, own_ticks, all_ticks: own_ticks + field(13) + field(14) })
}

pub(crate) fn cpu_ms(pid: u32, with_ended_children: bool) -> anyhow::Result<u64> {
    let stat = stat(pid)?;
    Ok(TICK_MS * if with_ended_children { stat.all_ticks } else { stat.own_ticks })
}

/// A server and its children.
pub(crate) fn family_cpu_ms(parent: u32) -> anyhow::Result<u64> {
    let mut sum = cpu_ms(parent, true)?;
    for entry in fs::read_dir("/proc").context("list processes")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if stat(pid).is_ok_and(|stat| stat.parent == parent) {
            sum += cpu_ms(pid, false).unwrap_or_default();
        }
    }
    Ok(sum)
}

fn rss_mb(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    Ok(kilobytes.unwrap_or_default() / 1_024.0)
}
