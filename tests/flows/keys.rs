//! API keys over their whole life.

use holdfast_app::credentials::{KeyError, add_key, create_client, rotate_key};
use holdfast_domain::Scopes;
use holdfast_domain::api_key::ApiKey;
use holdfast_testkit::{Gate, Options, Stack, eventually, key_id, unknown_key};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const LIST: &str = "/api/v1/orders";

async fn status(stack: &Stack, api_key: &str) -> StatusCode {
    stack.request_as(api_key, "GET", LIST).send().await.expect("an answer").status()
}

async fn becomes(stack: &Stack, api_key: &str, expected: StatusCode) {
    eventually("the key is treated so", async || (status(stack, api_key).await == expected).then_some(())).await;
}

/// What this client's keys are, by their ids.
async fn shown(stack: &Stack) -> Vec<Value> {
    let shown = stack.as_operator(&["clients", "keys", "test", "-o", "json"]).await;
    assert_eq!(shown.status, 0, "{shown:?}");
    shown.lines()
}

async fn show(stack: &Stack, api_key: &str) -> Value {
    let keys = shown(stack).await;
    keys.into_iter().find(|key| key["keyId"] == key_id(api_key)).expect("it is shown")
}

/// What a checksum cannot tell: it is right, and so is the id of the key.
#[tokio::test]
async fn who_knows_the_id_of_a_key_does_not_know_the_key() {
    let stack = Stack::with(Options::default()).await;
    let id = u64::from_str_radix(key_id(&stack.api_key), 16).expect("hex").to_be_bytes();
    for secret in [[0; 32], [7; 32]] {
        assert_eq!(status(&stack, &ApiKey::format(id, secret)).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
}

/// Nobody comes with it after it was disabled, and then Postgres goes away: what this process knows of it was looked at
/// again all the same.
#[tokio::test]
async fn a_key_that_was_disabled_while_idle_is_refused_in_an_outage_too() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let environment = vec![("HOLDFAST__API__KEY_USAGE_MS", "100".to_owned())];
    let stack = Stack::with(Options { environment, database_address: Some(gate.address), ..Options::default() }).await;
    let other = create_client(&stack.app, "other", None).await.expect("create it").expect("the name is free").api_key;
    let submit = async |api_key: &str, key: &str| {
        let body = json!({ "transactionId": key, "amount": "1.00", "currency": "EUR" });
        let request = stack.request_as(api_key, "POST", "/api/v1/transactions").json(&body);
        request.send().await.expect("an answer").status()
    };
    for key in [&stack.api_key, &other] {
        assert_eq!(submit(key, "before").await, StatusCode::ACCEPTED);
    }
    let used = async || {
        let sql = "select last_used_at::text from api_keys where key_id = $1";
        let used = sqlx::query_scalar::<_, Option<String>>(sql).bind(key_id(&stack.api_key)).fetch_one(&stack.pool);
        used.await.expect("read it")
    };
    let disabled = stack.as_operator(&["clients", "disable-key", key_id(&other)]).await;
    assert_eq!(disabled.status, 0);
    // It is written in the same round in which all keys are looked at: after two of them, one has begun since.
    for _ in 0..3 {
        let before = used().await;
        eventually("a round", async || {
            status(&stack, &stack.api_key).await;
            (used().await != before).then_some(())
        })
        .await;
    }
    gate.close();
    assert_eq!(submit(&other, "after").await, StatusCode::UNAUTHORIZED);
    assert_eq!(submit(&stack.api_key, "after").await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_disabled_key_is_refused_although_it_is_cached_and_the_other_one_works_on() {
    let stack = Stack::with(Options::default()).await;
    let added =
        stack.as_operator(&["clients", "add-key", "test", "--scopes", "orders:read", "--expires-in", "90d"]).await;
    let added = added.document();
    assert_eq!(added["scopes"], json!(["orders:read"]));
    let key = added["apiKey"].as_str().expect("a key");
    assert_eq!((status(&stack, key).await, status(&stack, &stack.api_key).await), (StatusCode::OK, StatusCode::OK));
    let known = show(&stack, key).await;
    assert_eq!((&known["state"], &known["scopes"]), (&json!("active"), &json!(["orders:read"])));
    assert!(known["expiresAt"].is_string() && known["createdAt"].is_string());

    let disabled = stack.as_operator(&["clients", "disable-key", key_id(key), "-o", "json"]).await;
    assert_eq!(disabled.document(), json!({ "keyId": key_id(key), "state": "disabled" }));
    becomes(&stack, key, StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
    assert_eq!(show(&stack, key).await["state"], "disabled");
    let table = stack.as_operator(&["clients", "keys", "test"]).await.out;
    assert!(
        table.starts_with("key ") && table.contains("disabled  orders:read") && table.contains("active    all"),
        "{table}"
    );

    for words in
        [&["disable-key", "0123456789abcdef"][..], &["keys", "nobody"], &["add-key", "nobody"], &["rotate", "nobody"]]
    {
        assert_eq!(stack.as_operator(&[&["clients"], words].concat()).await.status, 3, "{words:?}");
    }
    for words in [["--scopes", "orders"], ["--scopes", ""], ["--expires-in", "0d"], ["--expires-in", "90"]] {
        assert_eq!(
            stack.as_operator(&[&["clients", "add-key", "test"][..], &words].concat()).await.status,
            2,
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn a_client_has_two_live_keys_at_most() {
    let stack = Stack::with(Options::default()).await;
    let add = async || add_key(&stack.app, "test", Scopes::all(), Some(Duration::from_secs(60))).await;
    let second = add().await.expect("a second one");
    assert!(matches!(add().await, Err(KeyError::Full)));
    let hour = Duration::from_secs(3600);
    assert!(matches!(rotate_key(&stack.app, "test", hour).await, Err(KeyError::Full)));
    let refused = stack.as_operator(&["clients", "rotate-key", "test"]).await;
    assert!(refused.status == 1 && refused.err.contains("two live keys already"), "{refused:?}");
    assert_eq!(shown(&stack).await.len(), 2, "nothing was done");

    // Room is made by one that is disabled, and by one that has expired.
    let disabled = stack.as_operator(&["clients", "disable-key", &second.key_id]).await;
    assert_eq!(disabled.status, 0);
    add().await.expect("in its place");
    stack.advance(Duration::from_secs(61)).await;
    add().await.expect("in the place of what has expired");

    // One that has leaked is not in the way of the next.
    let rotated = rotate_key(&stack.app, "test", Duration::ZERO).await.expect("rotates");
    let live: Vec<_> = shown(&stack).await.into_iter().filter(|key| key["state"] == "active").collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0]["keyId"], rotated.key_id);
}

#[tokio::test]
async fn a_rotated_key_may_do_what_the_one_before_might() {
    let stack = Stack::with(Options::default()).await;
    let scopes = |text: &str| text.parse::<Scopes>().expect("scopes");
    assert!(stack.as_operator(&["clients", "disable-key", key_id(&stack.api_key)]).await.status == 0);
    let few = add_key(&stack.app, "test", scopes("orders:read,orders:write"), None).await.expect("a key");
    assert_eq!(few.scopes, scopes("orders:read,orders:write"));
    let rotated = rotate_key(&stack.app, "test", Duration::from_secs(60)).await.expect("rotates");
    assert_eq!(rotated.scopes, few.scopes);
    // Of several, what any of them may.
    stack.advance(Duration::from_secs(61)).await;
    add_key(&stack.app, "test", scopes("refunds:read"), None).await.expect("a key");
    let rotated = rotate_key(&stack.app, "test", Duration::ZERO).await.expect("rotates");
    assert_eq!(rotated.scopes, scopes("orders:read,orders:write,refunds:read"));
    // Of none, what the newest one might.
    assert!(stack.as_operator(&["clients", "disable-key", &rotated.key_id]).await.status == 0);
    let after = rotate_key(&stack.app, "test", Duration::ZERO).await.expect("rotates");
    assert_eq!(after.scopes, rotated.scopes);
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let stack = Stack::with(Options::default()).await;
    let key = add_key(&stack.app, "test", Scopes::all(), Some(Duration::from_secs(60))).await.expect("a key").api_key;
    assert_eq!(status(&stack, &key).await, StatusCode::OK);
    stack.advance(Duration::from_secs(61)).await;
    becomes(&stack, &key, StatusCode::UNAUTHORIZED).await;
    assert_eq!(show(&stack, &key).await["state"], "expired");
    assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
}

#[tokio::test]
async fn without_postgres_a_known_key_works_until_it_expires() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let stack = Stack::with(Options { database_address: Some(gate.address), ..Options::default() }).await;
    let submit = async |api_key: &str| {
        let body = json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR" });
        let answer = stack.request_as(api_key, "POST", "/api/v1/transactions").json(&body).send().await;
        let answer = answer.expect("an answer");
        (answer.status(), answer.headers().contains_key("holdfast-accepted-by"))
    };
    let expiring = stack.key_for(Duration::from_secs(20)).await;
    for key in [&expiring, &stack.api_key] {
        eventually("it is known", async || (submit(key).await == (StatusCode::ACCEPTED, true)).then_some(())).await;
    }
    gate.close();
    assert_eq!(submit(&expiring).await, (StatusCode::ACCEPTED, true));
    // Nobody can be asked: the API has counted the time itself.
    eventually("it has expired", async || (submit(&expiring).await.0 == StatusCode::UNAUTHORIZED).then_some(())).await;
    assert_eq!(submit(&stack.api_key).await, (StatusCode::ACCEPTED, true));
    assert_eq!(submit(&unknown_key()).await.0, StatusCode::SERVICE_UNAVAILABLE, "whose it is cannot be known");
}

#[tokio::test]
async fn a_key_that_is_disabled_during_an_outage_is_refused_after_it() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let stack = Stack::with(Options { database_address: Some(gate.address), ..Options::default() }).await;
    becomes(&stack, &stack.api_key, StatusCode::OK).await;
    gate.close();
    becomes(&stack, &stack.api_key, StatusCode::SERVICE_UNAVAILABLE).await;
    sqlx::query("update api_keys set disabled_at = now()").execute(&stack.pool).await.expect("disable it");
    gate.open();
    becomes(&stack, &stack.api_key, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_down() {
    let environment = vec![("HOLDFAST__API__KEY_USAGE_MS", "100".to_owned())];
    let stack = Stack::with(Options { environment, ..Options::default() }).await;
    let unused = add_key(&stack.app, "test", Scopes::all(), None).await.expect("a key").api_key;
    assert_eq!(show(&stack, &stack.api_key).await["lastUsedAt"], Value::Null);
    // Somebody else's secret behind its id is no use of it.
    let forged = forged(&unused);
    assert_eq!(status(&stack, &forged).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
    let last_used = async || {
        let last_used = show(&stack, &stack.api_key).await["lastUsedAt"].clone();
        (!last_used.is_null()).then_some(last_used)
    };
    let first = eventually("it is written down", last_used).await;
    eventually("and once more", async || {
        assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
        last_used().await.filter(|last_used| *last_used != first)
    })
    .await;
    assert_eq!(show(&stack, &unused).await["lastUsedAt"], Value::Null);
}

#[tokio::test]
async fn a_use_is_written_down_before_the_process_ends() {
    let mut stack = Stack::with(Options::default()).await;
    assert_eq!(status(&stack, &stack.api_key).await, StatusCode::OK);
    stack.stop_api().await;
    assert!(show(&stack, &stack.api_key).await["lastUsedAt"].is_string());
}

/// Another well-formed key under the same id.
fn forged(api_key: &str) -> String {
    let bytes: Vec<u8> = key_id(api_key)
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect();
    holdfast_domain::api_key::ApiKey::format(bytes.try_into().expect("8 bytes"), [7; 32])
}

/// Two sessions of the API at most wait for the locked table: one for each key, however often it comes.
#[tokio::test]
async fn postgres_is_asked_once_for_a_key_that_many_requests_bring() {
    let patience = "20000".to_owned();
    let environment = vec![
        ("HOLDFAST__API__ACCEPT_TIMEOUT_MS", patience.clone()),
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", patience),
        ("HOLDFAST__DATABASE__LOCK_TIMEOUT_MS", "15000".to_owned()),
    ];
    let stack = Stack::with(Options { environment, ..Options::default() }).await;
    let mut theirs = stack.pool.begin().await.expect("begin");
    sqlx::query("lock table api_keys in access exclusive mode").execute(&mut *theirs).await.expect("lock it");
    let waiting = async || {
        let sql = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock' and query like '%api_keys%'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&stack.pool).await.expect("count")
    };
    let ask = |key: &str| tokio::spawn(stack.request_as(key, "GET", LIST).send());
    let key = unknown_key();
    let mut asked: Vec<_> = (0..50).map(|_| ask(&key)).collect();
    eventually("somebody asks", async || (waiting().await > 0).then_some(())).await;
    asked.push(ask(&unknown_key()));
    eventually("somebody asks for another", async || (waiting().await > 1).then_some(())).await;
    assert_eq!(waiting().await, 2);
    theirs.rollback().await.expect("let go");
    for answer in asked {
        assert_eq!(answer.await.expect("no panic").expect("an answer").status(), StatusCode::UNAUTHORIZED);
    }
}
