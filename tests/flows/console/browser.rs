//! What operators see and do, in Chromium.

use super::{LOGIN, Manned};
use holdfast_domain::Kind;
use holdfast_testkit::{Browser, Submission, browse, eventually};
use serde_json::json;

const WHY: &str = "the partner has mended it";

impl Manned {
    /// Has the operator sign in with a browser, and do something there.
    async fn visit<F: Future<Output = ()> + Send + 'static>(&self, act: impl FnOnce(Browser) -> F + Send + 'static) {
        let password = self.password.clone();
        browse(&self.url, move |browser: Browser| async move {
            sign_in(&browser, &password).await;
            act(browser).await;
        })
        .await;
    }

    /// A refund of ours that is half done: one partner has refused it, the first ones have not.
    async fn half_refunded(&self, key: &str) -> Submission {
        let stack = &self.stack;
        let transaction = stack.submit(&format!("t-{key}"), "10.00").await;
        stack.settled(&transaction).await;
        stack.sandbox.set_rejecting("ledger", true);
        let refund = stack.refund(key, &format!("t-{key}"), Some("4.00")).await;
        assert_eq!(stack.settled(&refund).await["status"], "needs_attention");
        stack.sandbox.set_rejecting("ledger", false);
        refund
    }
}

async fn sign_in(browser: &Browser, password: &str) {
    browser.open("/console").await;
    browser.fill("#login", LOGIN).await;
    browser.fill("#password", password).await;
    browser.click("button.primary").await;
    browser.sees("Sign out").await;
}

#[tokio::test]
async fn an_operator_signs_in_looks_around_and_signs_out() {
    let manned = Manned::start().await;
    let submission = manned.stack.submit("<b>order-1</b>", "1.02").await;
    manned.stack.settled(&submission).await;
    let (id, password) = (submission.id.clone(), manned.password.clone());
    browse(&manned.url, move |browser: Browser| async move {
        browser.open("/console/search?q=x").await;
        browser.shoot("login").await;
        browser.fill("#login", LOGIN).await;
        browser.fill("#password", "not the password").await;
        browser.click("button.primary").await;
        browser.sees("Nobody has this login and this password").await;
        browser.fill("#password", &password).await;
        browser.click("button.primary").await;
        browser.sees("Sign out").await;
        assert_eq!(browser.path().await, "/console/search?q=x", "where it was going");
        look_at_the_overview(&browser).await;
        find_by_key_and_by_id(&browser, &id).await;
        for (path, name) in
            [("/console/partners", "partners"), ("/console/callbacks", "callbacks"), ("/console/events", "events")]
        {
            browser.open(path).await;
            browser.shoot(name).await;
        }
        browser.click("header .who button").await;
        browser.sees("Password").await;
        browser.open("/console").await;
        assert_eq!(browser.path().await, "/console/login?next=%2Fconsole");
    })
    .await;
}

async fn look_at_the_overview(browser: &Browser) {
    browser.open("/console").await;
    browser.sees("Workers alive").await;
    browser.sees("processor").await;
    eventually("some looks are drawn", || async {
        let drawn = browser.evaluate("return document.querySelector('path.line').getAttribute('d').length").await;
        (drawn.as_u64() > Some(60)).then_some(())
    })
    .await;
    browser.shoot("overview").await;
    assert_eq!(browser.evaluate("return document.querySelectorAll('[style]').length").await, 0);
    browser.press("?").await;
    browser.sees("next row").await;
    browser.shoot("keys").await;
    browser.click("dialog button").await;
    browser.press("gp").await;
    browser.sees("each worker finds out for itself").await;
}

async fn find_by_key_and_by_id(browser: &Browser, id: &str) {
    browser.open("/console/search?q=%3Cb%3Eorder-1%3C%2Fb%3E").await;
    browser.sees("<b>order-1</b>").await;
    browser.shoot("search").await;
    browser.evaluate("document.activeElement.blur()").await;
    browser.press("j").await;
    browser.press("\u{e007}").await;
    browser.sees("What was asked for").await;
    assert_eq!(browser.path().await, format!("/console/commands/{id}"));
    let text = browser.text().await;
    for told in
        ["creation 1", "accepted 201", "poll", "ended", "told completed, attempt 1", "delivered 200", "completed"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    browser.shoot("command").await;
    browser.open(&format!("/console/search?q={id}")).await;
    assert_eq!(browser.path().await, format!("/console/commands/{id}"), "an id leads there at once");
    browser.open("/console/search?q=nothing").await;
    browser.sees("No command of these clients has this key").await;
}

#[tokio::test]
async fn what_is_parked_is_retried_and_resolved_with_who_and_why() {
    let manned = Manned::start().await;
    let (retried, ended, ticked) =
        (manned.half_refunded("r1").await, manned.half_refunded("r2").await, manned.half_refunded("r3").await);
    let ids = [&retried, &ended, &ticked].map(|submission| submission.id.clone());
    manned
        .visit(move |browser: Browser| async move {
            let [retried, ended, ticked] = ids;
            browser.open("/console/attention").await;
            browser.sees("3 parked").await;
            browser.shoot("attention").await;
            browser.click(&format!("input[value='{ticked}']")).await;
            browser.fill(".foot input[name=why]", WHY).await;
            browser.click(".foot button").await;
            browser.sees("They carry on").await;
            browser.click(&format!("a[href$='{retried}']")).await;
            browser.sees("partly_refunded").await;
            browser.shoot("parked").await;
            browser.fill("form[action$=retry] input[name=why]", WHY).await;
            browser.click("form[action$=retry] button").await;
            browser.sees("It carries on").await;
            browser.open(&format!("/console/commands/{ended}")).await;
            browser.click("input[value=failed]").await;
            browser.click("input[name=undone]").await;
            browser.fill("form[action$=resolve] input[name=why]", WHY).await;
            browser.click("form[action$=resolve] button").await;
            browser.sees("It has ended as you said").await;
            browser.sees(&format!("jane: {WHY}")).await;
            browser.shoot("resolved").await;
        })
        .await;
    for (submission, kind, status) in
        [(&retried, "retried", "completed"), (&ticked, "retried", "completed"), (&ended, "resolved", "failed")]
    {
        let settled = manned.stack.settled(submission).await;
        assert_eq!(settled["status"], status);
        let trail = manned.stack.trail(submission).await;
        let recorded = trail.iter().find(|event| event["type"] == kind).expect("it is in the trail");
        assert_eq!((&recorded["by"], &recorded["why"]), (&json!(LOGIN), &json!(WHY)));
    }
    for book in manned.stack.at_partners(Kind::Refund, &retried) {
        assert_eq!((book.effects, book.while_unknown), (1, 0));
    }
}

#[tokio::test]
async fn an_item_about_what_has_ended_is_closed() {
    let manned = Manned::start().await;
    let submission = manned.stack.submit("t", "1.00").await;
    manned.stack.settled(&submission).await;
    let body = json!({ "id": submission.id, "status": "failed", "reason": "no" }).to_string();
    assert!(manned.stack.webhooks.send("processor", "evt_1", &body).await);
    manned
        .visit(move |browser: Browser| async move {
            browser.open("/console/attention").await;
            browser.sees("contradicting_webhook").await;
            browser.shoot("item").await;
            browser.fill("td input[name=why]", WHY).await;
            browser.click("td button").await;
            browser.sees("The item is closed").await;
            browser.sees("Nothing needs a person").await;
        })
        .await;
    let closed: (String, String) = sqlx::query_as("select closed_by, closed_why from attention_items")
        .fetch_one(&manned.stack.pool)
        .await
        .expect("an item");
    assert_eq!(closed, (LOGIN.to_owned(), WHY.to_owned()));
}

#[tokio::test]
async fn dead_letters_are_redriven_after_a_dry_run() {
    let manned = Manned::start().await;
    let stack = &manned.stack;
    let name = format!("{}-dlq", stack.queues["transactions"]);
    let url = stack.sqs.get_queue_url().queue_name(name).send().await.expect("there").queue_url.expect("a URL");
    for n in 0..3 {
        let body = format!("not even <i>JSON</i> {n}");
        stack.sqs.send_message().queue_url(&url).message_body(body).send().await.expect("send");
    }
    let state = async |state: &'static str| {
        let count = sqlx::query_scalar::<_, i64>("select count(*) from dead_letters where state = $1");
        count.bind(state).fetch_one(&stack.pool).await.expect("count")
    };
    eventually("they are kept", || async { (state("kept").await == 3).then_some(()) }).await;
    manned
        .visit(|browser: Browser| async move {
            browser.open("/console/dead-letters").await;
            browser.shoot("dead-letters").await;
            browser.click("table.rows a").await;
            browser.sees("Dry run of a redrive").await;
            browser.shoot("dead-letter-group").await;
            browser.fill("input[name=rate]", "2").await;
            browser.click("form.filter button").await;
            browser.sees("3 would be sent again, at 2 a second").await;
            browser.sees("Nothing was changed so far").await;
            browser.shoot("dry-run").await;
        })
        .await;
    assert_eq!((state("kept").await, state("redriven").await), (3, 0), "a dry run changes nothing");
    manned
        .visit(|browser: Browser| async move {
            browser.open("/console/dead-letters").await;
            browser.click("table.rows a").await;
            browser.fill("input[name=rate]", "2").await;
            browser.click("form.filter button").await;
            browser.fill("input[name=why]", WHY).await;
            browser.click("form.acts button").await;
            browser.sees("under way").await;
            browser.shoot("redrive").await;
            browser.sees("done").await;
            browser.sees("3 of 3").await;
        })
        .await;
    assert_eq!(state("redriven").await, 3);
    let settled: (String, String) =
        sqlx::query_as("select distinct settled_by, settled_why from dead_letters where state = 'redriven'")
            .fetch_one(&stack.pool)
            .await
            .expect("one");
    assert_eq!(settled, (LOGIN.to_owned(), WHY.to_owned()));
}

#[tokio::test]
async fn a_callback_is_sent_again() {
    let manned = Manned::start().await;
    let submission = manned.stack.submit("t", "1.00").await;
    manned.stack.settled(&submission).await;
    assert_eq!(manned.stack.told(&submission).len(), 1);
    let id = submission.id.clone();
    manned
        .visit(move |browser: Browser| async move {
            browser.open(&format!("/console/commands/{id}#callbacks")).await;
            browser.fill("#callbacks input[name=why]", WHY).await;
            browser.click("#callbacks form button").await;
            browser.sees("The callback is owed once more").await;
            browser.sees("had the callback sent again").await;
            browser.sees(&format!("jane: {WHY}")).await;
        })
        .await;
    manned.stack.settled(&submission).await;
    assert_eq!(manned.stack.told(&submission).len(), 2);
    let recorded: (String, String) = sqlx::query_as("select resent_by, resent_why from callback_resends")
        .fetch_one(&manned.stack.pool)
        .await
        .expect("one");
    assert_eq!(recorded, (LOGIN.to_owned(), WHY.to_owned()));
}

#[tokio::test]
async fn what_waits_is_seen() {
    let breaker = [
        ("HOLDFAST__PARTNERS__PROCESSOR__BREAKER_FAILURES", "1".to_owned()),
        ("HOLDFAST__PARTNERS__PROCESSOR__BREAKER_OPEN_MS", "60000".to_owned()),
        ("HOLDFAST__PARTNERS__PROCESSOR__BREAKER_CAP_MS", "60000".to_owned()),
    ];
    let mut manned = Manned::with(None, breaker.to_vec()).await;
    manned.stack.start_worker();
    let stack = &manned.stack;
    let callback_url = format!("{}/status/500?key=secret", stack.inbox_url);
    let body = json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR", "callbackUrl": callback_url });
    let untold = stack.submit_body(&body).await;
    eventually("a failed attempt", || async { (stack.told(&untold).len() == 1).then_some(()) }).await;
    let late = stack.submit("late", "1.13").await;
    eventually("the breaker is shown", || async {
        let sql = "select count(*) from workers where partners -> 'processor' ->> 'breaker' = 'open'";
        let open: i64 = sqlx::query_scalar(sql).fetch_one(&stack.pool).await.ok()?;
        (open == 1).then_some(())
    })
    .await;
    let (untold, late) = (untold.id, late.id);
    manned
        .visit(move |browser: Browser| async move {
            browser.open(&format!("/console/commands/{late}")).await;
            browser.sees("unavailable 503").await;
            browser.sees("processor is unavailable").await;
            browser.sees("in 1 min").await;
            browser.shoot("waiting").await;
            browser.open("/console/partners").await;
            browser.find(".pill.bad").await;
            browser.shoot("breaker").await;
            browser.open("/console").await;
            browser.find(".columns .pill.bad").await;
            browser.shoot("overview-breaker").await;
            browser.open("/console/callbacks?tries=1").await;
            browser.sees(&untold).await;
            browser.shoot("callbacks-owed").await;
            browser.click("table.rows a").await;
            browser.sees("refused 500").await;
            assert!(!browser.text().await.contains("secret"), "an address is shown without its query");
            browser.shoot("untold").await;
        })
        .await;
}
