//! The clock of a test's database. All of Holdfast's time comes from one SQL function.

use sqlx::PgPool;
use std::time::Duration;

/// Moves time forward, once and for all, for everybody who uses this database. Not in the middle of a statement that writes
/// what it has done: it would have one time in the row, and another in the row's hash.
pub async fn advance(pool: &PgPool, by: Duration) {
    let moving = format!("lock table wakeups in share row exclusive mode; {}", moving(by));
    sqlx::raw_sql(sqlx::AssertSqlSafe(moving)).execute(pool).await.expect("move the clock");
}

/// Moves the database's clock if nothing of this command can be claimed within the next second. Nobody can claim between
/// the look and the move: its lease would be over as soon as it began. Answers how much is owed.
pub async fn advance_if_idle(pool: &PgPool, command: &str, by: Duration) -> Result<i64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql("lock table wakeups in share row exclusive mode").execute(&mut *transaction).await?;
    let owed = sqlx::query_as::<_, (i64, bool)>(
        "select count(*), coalesce(bool_and(token is null and least(run_at, due_at) > holdfast_now() + interval '1 s'), false)
           from wakeups join commands using (no) where id = $1::uuid",
    );
    let (owed, idle) = owed.bind(command).fetch_one(&mut *transaction).await?;
    if owed > 0 && idle {
        sqlx::raw_sql(sqlx::AssertSqlSafe(moving(by))).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(owed)
}

fn moving(by: Duration) -> String {
    let seconds = by.as_secs();
    format!(
        "create table if not exists test_clock (ahead interval not null);
         insert into test_clock select interval '0 s' where not exists (select from test_clock);
         update test_clock set ahead = ahead + interval '{seconds} s';
         create or replace function holdfast_now() returns timestamptz
             language sql stable parallel safe as 'select now() + (select ahead from test_clock)'"
    )
}
