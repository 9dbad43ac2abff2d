//! Nothing secret in logs, metrics and traces, however much is logged.

use holdfast_devstack::settings::WEBHOOK_SECRET;
use holdfast_partners::signature::{read_secret, show_secret};
use holdfast_testkit::cli::run;
use holdfast_testkit::{Collector, Gate, Options, Stack, Submission, eventually, free_port};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::{Value, json};

/// 32 bytes in base64.
const ENCRYPTION_KEY: &str = "bm9ib2R5IG11c3QgZXZlciBzZWUgdGhpcyBrZXkgISE=";
const DATABASE_PASSWORD: &str = "dbpassword5f1c";
const PARTNER_TOKEN: &str = "partnertoken7a2b";
const URL_TOKEN: &str = "urltoken93ce";
const STANDING_TOKEN: &str = "standingtoken04d7";
const DESCRIPTION: &str = "descriptionmarker61ab";
const METADATA: &str = "metadatamarker8e3f";
const MEMBER: &str = "membermarker2c90";
const POISON: &str = "poisonmarker17fd";
const WRONG: &str = "wrongmarker55e8";
const CARD: &str = "4242424242424242";

/// Everything that nobody may see, by what it is.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn new(texts: &[(&str, &str)]) -> Self {
        Self(texts.iter().map(|(what, text)| ((*what).to_owned(), (*text).to_owned())).collect())
    }

    fn text(&mut self, what: &str, text: &str) {
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// As it is shown, and as somebody would print its bytes.
    fn bytes(&mut self, what: &str, shown: &str) {
        let bytes = read_secret(shown).expect("a secret");
        self.text(what, shown.trim_start_matches("whsec_"));
        self.text(what, &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        self.text(what, format!("{bytes:?}").trim_matches(['[', ']']));
        self.text(what, format!("{bytes:02x?}").trim_matches(['[', ']']));
    }

    fn assert_none_in(&self, place: &str, told: &str) {
        for (what, secret) in &self.0 {
            if let Some(at) = told.find(secret.as_str()) {
                let line = told[..at].lines().count();
                let shown = told.lines().nth(line.saturating_sub(1)).unwrap_or_default().replace(secret.as_str(), "…");
                panic!("{what} is in {place}, line {line}: {shown}");
            }
        }
    }
}

struct Watched {
    stack: Stack,
    gate: Gate,
    collector: Collector,
    metrics: [String; 2],
}

impl Watched {
    /// Everything that can be logged is. The binaries reach Postgres as a role of the test's own, with a password.
    async fn start() -> Self {
        let (gate, collector) = (Gate::before(Stack::postgres_address()).await, Collector::start().await);
        let ports = [free_port().await, free_port().await];
        let [api, worker] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut environment = collector.environment();
        environment.extend(
            [
                ("RUST_LOG", "trace"),
                ("HOLDFAST__API__METRICS_LISTEN", &*api),
                ("HOLDFAST__WORKER__METRICS_LISTEN", &*worker),
                ("HOLDFAST__ENCRYPTION__KEYS__KEY", ENCRYPTION_KEY),
                ("HOLDFAST__ENCRYPTION__CURRENT", "key"),
                ("HOLDFAST__PARTNERS__PROCESSOR__AUTH_HEADER", &format!("Authorization: Bearer {PARTNER_TOKEN}")),
            ]
            .map(|(name, value)| (name, value.to_owned())),
        );
        let options = Options { environment, database_address: Some(gate.address), ..Options::default() };
        let mut stack = Stack::with(options).await;
        stack.stop_api().await;
        let url = with_own_role(&stack).await;
        stack.start_api(&[("DATABASE_URL", &url)]).await;
        stack.start_worker_with(&[("DATABASE_URL", &url)]);
        let metrics = [api, worker].map(|address| format!("http://{address}/metrics"));
        Self { stack, gate, collector, metrics }
    }

    /// What was told so far, by where.
    async fn told(&self) -> Vec<(String, String)> {
        let mut told = Vec::new();
        for binary in ["holdfast-api", "holdfast-worker"] {
            told.push((format!("the log of {binary}"), self.stack.log(binary)));
        }
        for url in &self.metrics {
            let metrics = reqwest::get(url).await.expect("an answer").text().await.expect("a body");
            assert!(metrics.contains("# EOF"), "{metrics}");
            told.push(("metrics".to_owned(), metrics));
        }
        told.push(("a trace".to_owned(), format!("{:#?}", self.collector.spans())));
        told
    }
}

async fn with_own_role(stack: &Stack) -> String {
    let mut url = Url::parse(stack.setting("DATABASE_URL")).expect("a URL");
    let role = format!("secrecy-{}", url.path().trim_start_matches('/'));
    let create = format!("create role \"{role}\" login superuser password '{DATABASE_PASSWORD}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&stack.pool).await.expect("create a role");
    url.set_username(&role).and_then(|()| url.set_password(Some(DATABASE_PASSWORD))).expect("credentials");
    url.into()
}

fn transaction(stack: &Stack, key: &str, path: &str) -> Value {
    json!({
        "transactionId": key, "amount": "1.00", "currency": "EUR", "description": DESCRIPTION,
        "metadata": { MEMBER: { "deep": [METADATA] } },
        "callbackUrl": format!("{}{path}?token={URL_TOKEN}", stack.inbox_url),
    })
}

/// With a key of its own, unlike [`Stack::request`].
async fn ask_with(stack: &Stack, key: &str) -> StatusCode {
    let client = Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{}/api/v1/orders", stack.api_url)).bearer_auth(key).send().await;
    answer.expect("an answer").status()
}

async fn post_raw(stack: &Stack, body: String) -> StatusCode {
    let request = stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
    request.body(body).send().await.expect("an answer").status()
}

/// One that is told, one whose endpoint fails, an order and a refund.
async fn carried(stack: &Stack) -> Vec<Submission> {
    let told = stack.submit_body(&transaction(stack, "told", "/callbacks")).await;
    stack.settled(&told).await;
    let failing = stack.submit_body(&transaction(stack, "failing", "/status/500")).await;
    eventually("an attempt fails", || async {
        let waits = "select count(*) from wakeups where lane = 1 and token is null and tries > 0";
        (sqlx::query_scalar::<_, i64>(waits).fetch_one(&stack.pool).await.ok()? == 1).then_some(())
    })
    .await;
    let order = json!({ "orderId": "o", "userId": WRONG, "productName": DESCRIPTION, "quantity": 1,
                        "totalPrice": "1.00", "items": [{ "note": METADATA }], "metadata": { MEMBER: 1 } });
    let order = stack.submit_body_as(holdfast_domain::Kind::Order, &order).await;
    let refund = json!({ "refundId": "r", "transactionId": "told", "reason": DESCRIPTION });
    let refund = stack.submit_body_as(holdfast_domain::Kind::Refund, &refund).await;
    for submission in [&order, &refund] {
        stack.settled(submission).await;
    }
    vec![told, failing, order, refund]
}

/// Requests that are refused, each with something in it that must not be repeated.
async fn refused(stack: &Stack) {
    let wrong_key = format!("{}x", &stack.api_key[..stack.api_key.len() - 1]);
    for key in [WRONG, &wrong_key] {
        assert_eq!(ask_with(stack, key).await, StatusCode::UNAUTHORIZED);
    }
    for body in [
        format!(r#"{{"transactionId": {WRONG}"#),
        format!(r#"{{"transactionId": "t", "{WRONG}": "{WRONG}", "amount": "{WRONG}", "currency": "{WRONG}"}}"#),
        json!({ "transactionId": "t", "amount": 1, "currency": "EUR", "metadata": { "pan": CARD } }).to_string(),
    ] {
        assert!(post_raw(stack, body).await.is_client_error());
    }
    let other = json!({ "transactionId": "told", "amount": "2.00", "currency": "EUR", "description": WRONG });
    assert_eq!(stack.post(&other).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!stack.webhooks.forged().send("processor", "evt_1", &json!({ "id": WRONG }).to_string()).await);
    assert!(!stack.webhooks.send("processor", "evt_2", &json!({ "id": WRONG, "status": WRONG }).to_string()).await);
}

/// What a client does with its endpoint. Answers its new secret.
async fn exchanged(stack: &Stack) -> String {
    let body = json!({ "url": format!("{}/status/500?token={STANDING_TOKEN}", stack.inbox_url) });
    let ask = async |method: &str, path: &str| -> Response {
        let request = stack.request(method, &format!("/api/v1/callback-endpoint{path}"));
        let answer = request.json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
        answer
    };
    ask("PUT", "").await;
    let rotated: Value = ask("POST", "/rotate-secret").await.json().await.expect("a body");
    ask("POST", "/test").await;
    rotated["secret"].as_str().expect("a secret").to_owned()
}

/// What the command line says beside its results. Its own settings, so that it logs as much.
async fn operated(stack: &Stack) -> (String, Value) {
    let mut said = String::new();
    let create = run(stack.operator_command(&["clients", "create", "another"]), String::new()).await;
    let created = create.document();
    said.push_str(&create.err);
    for arguments in [
        &["clients", "list"][..],
        &["clients", "rotate", "another", "--overlap-s", "0"],
        &["secrets", "seal"],
        &["doctor", "--skip", "queues", "--skip", "partners"],
        &["attention", "list"],
        &["dlq", "list"],
        &["migrate"],
    ] {
        let ran = run(stack.operator_command(arguments), String::new()).await;
        assert_eq!(ran.status, 0, "{arguments:?} {}", ran.err);
        said.push_str(&ran.err);
    }
    let client = stack.client_command(&["get", "transaction", "00000000-0000-0000-0000-000000000000"]);
    said.push_str(&run(client, String::new()).await.err);
    (said, created)
}

/// By the journal queue, and from there into Postgres.
async fn through_an_outage(watched: &Watched) {
    let stack = &watched.stack;
    watched.gate.close();
    let submission = eventually("the journal accepts", || async {
        let answer = stack.post(&transaction(stack, "journalled", "/callbacks")).await;
        let by_queue = answer.headers().get("holdfast-accepted-by")? == "queue";
        if by_queue { Some(Stack::submission(answer).await) } else { None }
    })
    .await;
    watched.gate.open();
    eventually("it is told", || async { (!stack.told(&submission).is_empty()).then_some(()) }).await;
}

/// What nobody can read in a queue is logged, without what it says.
async fn poisoned(stack: &Stack) {
    stack.send_message(holdfast_domain::Kind::Transaction, &json!({ "id": POISON, "data": POISON }).to_string()).await;
    stack.send_message(holdfast_domain::Kind::Transaction, &format!("{{\"specversion\": \"{POISON}\"}}")).await;
    eventually("both are stored", || async {
        let kept =
            sqlx::query_scalar::<_, i64>("select count(*) from dead_letters").fetch_one(&stack.pool).await.ok()?;
        (kept == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_secret_is_logged_measured_or_traced() {
    let mut watched = Watched::start().await;
    let stack = &watched.stack;
    let mut secrets = Secrets::new(&[
        ("the password of Postgres", DATABASE_PASSWORD),
        ("the server key", stack.setting("HOLDFAST__SERVER_KEY")),
        ("the encryption key", ENCRYPTION_KEY),
        ("the partner's token", PARTNER_TOKEN),
        ("the API key", &stack.api_key),
        ("the secret of the API key", &stack.api_key[21..]),
        ("an Authorization header", "Bearer "),
        ("a description", DESCRIPTION),
        ("metadata", METADATA),
        ("a name within metadata", MEMBER),
        ("a token in a callback's address", URL_TOKEN),
        ("a token in the standing address", STANDING_TOKEN),
        ("a message that cannot be read", POISON),
        ("something that was refused", WRONG),
        ("a card number", CARD),
    ]);
    secrets.bytes("the callback secret", &stack.callback_secret);
    secrets.bytes("the webhook secret", &show_secret(WEBHOOK_SECRET));

    let submissions = carried(stack).await;
    refused(stack).await;
    let rotated = exchanged(stack).await;
    secrets.bytes("the new callback secret", &rotated);
    poisoned(stack).await;
    through_an_outage(&watched).await;
    let (said, created) = operated(stack).await;
    secrets.text("the API key of another client", created["apiKey"].as_str().expect("a key"));
    secrets.bytes("the callback secret of another client", created["callbackSecret"].as_str().expect("a secret"));
    let mut told = watched.told().await;
    told.push(("what the command line says".to_owned(), said));

    watched.stack.stop_workers().await;
    watched.stack.stop_api().await;
    for binary in ["holdfast-api", "holdfast-worker"] {
        told.push((format!("the log of {binary}"), watched.stack.log(binary)));
    }
    told.push(("a trace".to_owned(), format!("{:#?}", watched.collector.spans())));
    everything_was_looked_at(&watched, &submissions[0]);
    for (place, text) in &told {
        secrets.assert_none_in(place, text);
    }
}

/// Else nothing would have been found for another reason: the logs are those of this test, in every detail.
fn everything_was_looked_at(watched: &Watched, submission: &Submission) {
    for (binary, lines) in [
        (
            "holdfast-api",
            ["\"listening\"", "\"target\":\"hyper", "\"target\":\"sqlx::query\"", "\"postgres does not answer\""],
        ),
        (
            "holdfast-worker",
            [
                "\"working\"",
                "\"target\":\"hyper",
                "\"target\":\"sqlx::query\"",
                "\"message cannot be read, storing it\"",
            ],
        ),
    ] {
        let log = watched.stack.log(binary);
        assert!(log.contains("\"level\":\"TRACE\""), "{binary} logs everything");
        for line in lines {
            assert!(log.contains(line), "{binary} has logged {line}");
        }
    }
    let traced = format!("{:?}", watched.collector.spans());
    assert!(traced.contains(&submission.id) && traced.contains("POST callback"), "{traced}");
}
