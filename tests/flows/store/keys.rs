//! The two live keys of a client.

use super::database;
use holdfast_domain::Scopes;
use holdfast_store::Pool;
use holdfast_store::api_keys::{self, Issued, NewKey};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn add(pool: &Pool, key_id: &str) -> Issued {
    let key = NewKey { key_id, hash: &[7; 32] };
    api_keys::add(pool, "test", key, Scopes::all(), None).await.expect("issue a key")
}

#[tokio::test]
async fn of_those_who_issue_a_key_at_the_same_moment_one_does() {
    let pool = database().await;
    for round in 0..20 {
        let issue = |n: i32| {
            let (pool, key_id) = (pool.clone(), format!("{round}-{n}"));
            tokio::spawn(async move {
                match n {
                    0..4 => add(&pool, &key_id).await,
                    _ => {
                        let key = NewKey { key_id: &key_id, hash: &[7; 32] };
                        api_keys::rotate(&pool, "test", key, HOUR).await.expect("rotate")
                    }
                }
            })
        };
        let issuing: Vec<_> = (0..8).map(issue).collect();
        let mut done = 0;
        for issued in issuing {
            match issued.await.expect("no panic") {
                Issued::Done(_) => done += 1,
                Issued::Full | Issued::Raced => {}
                Issued::NoClient => panic!("there is a client"),
            }
        }
        assert_eq!(done, 1, "the client had one key");
        let keys = api_keys::of_client(&pool, "test").await.expect("list");
        let live: Vec<_> = keys.iter().filter(|key| !key.disabled && !key.expired).collect();
        assert_eq!(live.len(), 2);
        assert!(api_keys::disable(&pool, &live[1].key_id).await.expect("disable"));
    }
}

#[tokio::test]
async fn a_use_is_written_once_in_a_while_and_waits_for_nobody() {
    let pool = database().await;
    assert_eq!(add(&pool, "l").await, Issued::Done(Scopes::all()));
    let ids = ["k", "l", "nobody's"].map(str::to_owned);
    let used = async |resolution| {
        api_keys::mark_used(&pool, &ids, resolution).await.expect("mark");
        let keys = api_keys::of_client(&pool, "test").await.expect("list");
        keys.into_iter().map(|key| key.last_used_at).collect::<Vec<_>>()
    };
    let mut theirs = pool.connections().begin().await.expect("begin");
    sqlx::query("select from api_keys where key_id = 'k' for update").execute(&mut *theirs).await.expect("lock it");
    let first = used(HOUR).await;
    assert!(first[0].is_none() && first[1].is_some(), "{first:?}");
    theirs.rollback().await.expect("let go");
    let second = used(HOUR).await;
    assert!(second[0].is_some() && second[1] == first[1], "{second:?}");
    let third = used(Duration::ZERO).await;
    assert!(third[0] > second[0] && third[1] > second[1], "{third:?}");
}
