//! The clock of a test's database. All of Holdfast's time comes from one SQL function.

use sqlx::PgPool;
use std::time::Duration;

/// Moves time forward, once and for all, for everybody who uses this database.
pub async fn advance(pool: &PgPool, by: Duration) {
    let seconds = by.as_secs();
    let sql = format!(
        "create table if not exists test_clock (ahead interval not null);
         insert into test_clock select interval '0 s' where not exists (select from test_clock);
         update test_clock set ahead = ahead + interval '{seconds} s';
         create or replace function holdfast_now() returns timestamptz
             language sql stable parallel safe as 'select now() + (select ahead from test_clock)'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.expect("move the clock");
}
