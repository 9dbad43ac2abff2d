//! Postgres: is it there, is its schema ours, and what does a commit rest on?

use super::finding::Finding;
use holdfast_app::{App, SchemaError};
use holdfast_store::census::{self, Server};
use holdfast_store::schema::{self, Applied};
use std::time::{Duration, Instant};

/// Longer transactions keep vacuum from the table that changes most.
const LONG: Duration = Duration::from_secs(60);

/// Signatures of requests to AWS are refused when they are 5 min off.
const CLOCK_FAIL: Duration = Duration::from_secs(240);
const CLOCK_WARN: Duration = Duration::from_secs(2);

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    let started = Instant::now();
    if let Err(error) = app.ping().await {
        let error = anyhow::Error::new(error);
        return vec![
            Finding::fail("database", format!("{error:#}"))
                .so("see DATABASE_URL, and whether this machine may reach it; a standby takes no writes")
                .in_the_way(),
        ];
    }
    let mut findings = vec![Finding::ok("database", format!("answers in {} ms", started.elapsed().as_millis()))];
    let schema = schema(schema::applied(&app.pool).await);
    let has_schema = !schema.is_in_the_way;
    findings.push(schema);
    match census::server(&app.pool).await {
        Ok(server) => findings.extend(settings(&server)),
        Err(error) => findings.push(Finding::fail("database settings", format!("{:#}", anyhow::Error::new(error)))),
    }
    // Its time is a function of the schema's.
    if has_schema {
        findings.push(clock(app).await);
    }
    findings
}

fn schema(applied: Result<Applied, SchemaError>) -> Finding {
    const ABOUT: &str = "schema";
    match applied {
        Ok(Applied { found, known }) if found > known => {
            Finding::ok(ABOUT, format!("at {found}, this binary knows {known}: a later version's, which serves it too"))
        }
        Ok(Applied { found, .. }) => Finding::ok(ABOUT, format!("at {found}, as this binary needs it")),
        Err(SchemaError::Store(error)) => Finding::fail(ABOUT, format!("{:#}", anyhow::Error::new(error))).in_the_way(),
        Err(error) => Finding::fail(ABOUT, error.to_string()).so("run `holdfast migrate`").in_the_way(),
    }
}

/// A 202 rests on a commit.
fn settings(server: &Server) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut off = |name: &str, value: &str, advice: &str| {
        if value == "off" {
            findings.push(Finding::fail(format!("database {name}"), "off: commits may be lost").so(advice));
        }
    };
    off("fsync", &server.fsync, "turn it on, and restore from a backup what has crashed meanwhile");
    off("full_page_writes", &server.full_page_writes, "turn it on, unless the file system writes whole pages at once");
    off("synchronous_commit", &server.synchronous_commit, "turn it on: a crash loses what was answered with 202");
    if findings.is_empty() {
        let Server { version, synchronous_commit, .. } = server;
        let found = format!("Postgres {version}, fsync on, synchronous_commit {synchronous_commit}");
        findings.push(Finding::ok("database settings", found));
    }
    findings.push(standby(server));
    let longest = server.longest_transaction;
    if longest > LONG {
        let found = format!("the oldest has been open for {} s", longest.as_secs());
        let advice =
            "find it in pg_stat_activity, end it: it keeps vacuum from wakeups, and migrations from their locks";
        findings.push(Finding::warn("database transactions", found).so(advice));
    }
    findings
}

fn standby(server: &Server) -> Finding {
    const ABOUT: &str = "database replication";
    let Server { synchronous_commit, synchronous_standby_names: names, .. } = server;
    match (names.is_empty(), synchronous_commit.as_str()) {
        (true, _) => Finding::ok(
            ABOUT,
            "no synchronous standby of Postgres' own: fine alone or above replicated storage (Multi-AZ); \
             a failover to an asynchronous replica would lose commits",
        ),
        (false, "local" | "off") => {
            let found = format!("synchronous_commit is {synchronous_commit}: {names} is not waited for");
            Finding::fail(ABOUT, found).so("set synchronous_commit to on: a failover loses what was answered with 202")
        }
        (false, _) => Finding::ok(ABOUT, format!("commits wait for {names} ({synchronous_commit})")),
    }
}

/// Halfway between question and answer, this machine's time against Postgres'.
#[expect(clippy::disallowed_methods, reason = "this machine's clock is what is looked at")]
async fn clock(app: &App) -> Finding {
    let (asked, started) = (chrono::Utc::now(), Instant::now());
    match app.pool.now().await {
        Ok(now) => {
            let halfway = asked + started.elapsed() / 2;
            let ahead = (halfway - now).num_milliseconds();
            judge_clock(ahead)
        }
        Err(error) => Finding::fail("clock", format!("{:#}", anyhow::Error::new(error))),
    }
}

fn judge_clock(ahead_ms: i64) -> Finding {
    let off = Duration::from_millis(ahead_ms.unsigned_abs());
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let found = format!("this machine is {} ms {side} Postgres", off.as_millis());
    let advice = "set both by NTP: Holdfast goes by Postgres' time, AWS refuses signatures that are 5 min off";
    match off {
        off if off >= CLOCK_FAIL => Finding::fail("clock", found).so(advice),
        off if off >= CLOCK_WARN => Finding::warn("clock", found).so(advice),
        _ => Finding::ok("clock", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn server(synchronous_commit: &str, standby: &str) -> Server {
        Server {
            version: "17.2".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: synchronous_commit.to_owned(),
            synchronous_standby_names: standby.to_owned(),
            longest_transaction: Duration::ZERO,
        }
    }

    fn levels(findings: &[Finding]) -> Vec<Level> {
        findings.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn what_can_lose_a_commit_fails() {
        assert_eq!(levels(&settings(&server("on", ""))), [Level::Ok, Level::Ok]);
        assert_eq!(levels(&settings(&server("off", ""))), [Level::Fail, Level::Ok]);
        assert_eq!(levels(&settings(&server("local", "b"))), [Level::Ok, Level::Fail]);
        let old = Server { longest_transaction: LONG * 2, fsync: "off".to_owned(), ..server("on", "b") };
        assert_eq!(levels(&settings(&old)), [Level::Fail, Level::Ok, Level::Warn]);
    }

    #[test]
    fn a_clock_may_be_a_little_off() {
        for (ahead_ms, level) in [(0, Level::Ok), (-1_500, Level::Ok), (3_000, Level::Warn), (-300_000, Level::Fail)] {
            assert_eq!(judge_clock(ahead_ms).level, level, "{ahead_ms}");
        }
    }

    #[test]
    fn a_schema_that_is_older_stands_in_the_way() {
        let older = schema(Err(SchemaError::Older { found: 7, needed: 9 }));
        assert!(older.level == Level::Fail && older.is_in_the_way);
        assert_eq!(schema(Ok(Applied { found: 10, known: 9 })).level, Level::Ok);
    }
}
