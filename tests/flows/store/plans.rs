//! What Postgres makes of the statements, where it knows least.

use super::*;
use sqlx::{AssertSqlSafe, PgConnection};
use std::path::Path;

const WAITING: &str = "insert into wakeups (no, lane, kind, due_at, status)
                       select n, 0, 1, holdfast_now(), 'accepted' from generate_series(1, 5000) n";

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(connection).await.expect("run");
}

/// The statements that find wakeups by command and lane, as they were checked against the schema.
fn statements() -> Vec<String> {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx")).expect("list .sqlx");
    let text = |entry: std::io::Result<std::fs::DirEntry>| {
        let file = std::fs::read_to_string(entry.expect("an entry").path()).expect("read a statement");
        let query: serde_json::Value = serde_json::from_str(&file).expect("JSON");
        query["query"].as_str().expect("a text").to_owned()
    };
    let by_key = |sql: &String| sql.contains("wakeups") && (sql.contains("w.no = ") || sql.contains(" no = $1"));
    // What a dead worker has held has no index.
    folder.map(text).filter(by_key).filter(|sql| !sql.contains("worker in (select id from dead)")).collect()
}

/// Vacuum has come by when all was done, and could not give the pages back: Postgres believes `wakeups` to be empty, however
/// many rows come, and has no statistics. To read all of it for each row that is looked for then seems to cost nothing.
#[tokio::test]
async fn a_row_is_found_by_its_key_also_where_postgres_believes_that_there_are_none() {
    let pool = database().await;
    let mut connection = pool.connections().acquire().await.expect("connect");
    run(&mut connection, "alter table wakeups set (autovacuum_enabled = off)").await;
    run(&mut connection, WAITING).await;
    run(&mut connection, "delete from wakeups").await;
    run(&mut connection, "vacuum (truncate false) wakeups").await;
    run(&mut connection, WAITING).await;
    let known = "select relpages > 0 and reltuples = 0 from pg_class where relname = 'wakeups'";
    let is_misled: bool = sqlx::query_scalar(known).fetch_one(&mut *connection).await.expect("ask");
    assert!(is_misled, "the state that this is about");
    let statements = statements();
    assert!(statements.len() > 20, "{}", statements.len());
    let mut misled = Vec::new();
    for sql in statements {
        run(&mut connection, format!("prepare it as {sql}")).await;
        let asked = "select cardinality(parameter_types) from pg_prepared_statements where name = 'it'";
        let count: i32 = sqlx::query_scalar(asked).fetch_one(&mut *connection).await.expect("count the parameters");
        let nulls = vec!["null"; count as usize].join(", ");
        let explain = if count == 0 { "explain execute it".to_owned() } else { format!("explain execute it({nulls})") };
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.expect("explain");
        let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        for (at, line) in plan.iter().enumerate() {
            if line.contains("Scan") && line.contains(" on wakeups") {
                let condition = plan.get(at + 1).map_or("", |line| line.trim());
                let by_key = condition.starts_with("Index Cond:") && condition.contains("no = ");
                // What is due is read in the order in which it is.
                let by_time = condition.contains("due_at <=");
                if !by_key && !by_time {
                    misled.push(format!("{sql}\n\n{}", plan.join("\n")));
                }
            }
        }
        run(&mut connection, "deallocate it").await;
    }
    assert!(misled.is_empty(), "{}", misled.join("\n\n"));
}
