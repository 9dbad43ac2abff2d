//! Migrations that are cut off, or run twice at once.

use holdfast_store::schema;
use holdfast_testkit::{database_alone, eventually};

#[tokio::test]
async fn a_migration_that_was_given_up_half_way_is_done_again() {
    let pool = database_alone().await;
    let built = "select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid
                  where c.relname = 'wakeups_due_idx' and indisvalid";
    let count = async || sqlx::query_scalar::<_, i64>(built).fetch_one(pool.connections()).await.expect("count");
    // Built, but not noted as done: killed in between. Then not even usable: given up while it was built.
    for broken in ["select 1", "update pg_index set indisvalid = false where indexrelid = 'wakeups_due_idx'::regclass"]
    {
        sqlx::query("delete from _sqlx_migrations where version in (8, 9)")
            .execute(pool.connections())
            .await
            .expect("forget");
        sqlx::query(broken).execute(pool.connections()).await.expect("break");
        assert!(matches!(schema::check(&pool).await, Err(schema::SchemaError::Older { .. })));
        schema::migrate(&pool).await.expect("migrate");
        schema::check(&pool).await.expect("as it was");
        assert_eq!(count().await, 1);
    }
}

#[tokio::test]
async fn a_migration_that_waits_for_a_long_reader_holds_nobody_else_up() {
    let pool = database_alone().await;
    let connections = pool.connections();
    let forget = "alter table clients drop column submissions_per_s, drop column reads_per_s;
                  delete from _sqlx_migrations where version = 13";
    sqlx::raw_sql(forget).execute(connections).await.expect("forget");
    let mut reader = connections.begin().await.expect("begin");
    sqlx::query("select count(*) from clients").execute(&mut *reader).await.expect("read for a long time");
    let waits = "select count(*) from pg_locks where not granted and relation = 'clients'::regclass";
    let meanwhile = async {
        for _ in 0..3 {
            eventually("it waits for its lock", || async {
                let waits: i64 = sqlx::query_scalar(waits).fetch_one(connections).await.ok()?;
                (waits == 1).then_some(())
            })
            .await;
            // Behind it. A client waits far longer than this.
            let write = "set lock_timeout = '2s'; update clients set name = name";
            sqlx::raw_sql(write).execute(connections).await.expect("others go on");
        }
        reader.commit().await.expect("commit");
    };
    let (migrated, ()) = tokio::join!(schema::migrate(&pool), meanwhile);
    migrated.expect("migrate");
    schema::check(&pool).await.expect("as it was");
}

#[tokio::test]
async fn two_who_migrate_at_once_take_turns() {
    let pool = database_alone().await;
    sqlx::query("delete from _sqlx_migrations where version in (8, 9)")
        .execute(pool.connections())
        .await
        .expect("forget");
    let (one, other) = tokio::join!(schema::migrate(&pool), schema::migrate(&pool));
    one.and(other).expect("both are content");
}

#[tokio::test]
async fn the_version_before_works_on_a_schema_that_has_more() {
    let pool = database_alone().await;
    let later = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 select max(version) + 1, 'of a later version', true, '', 0 from _sqlx_migrations";
    sqlx::query(later).execute(pool.connections()).await.expect("note it");
    schema::check(&pool).await.expect("no objection");
    let without = "delete from _sqlx_migrations where version in (8, 9)";
    sqlx::query(without).execute(pool.connections()).await.expect("forget");
    assert!(matches!(schema::check(&pool).await, Err(schema::SchemaError::Older { .. })));
}
