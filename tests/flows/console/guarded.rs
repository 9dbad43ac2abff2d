//! What the console does not let anybody do.

use super::{LOGIN, Manned};
use holdfast_testkit::{Gate, Stack, Submission};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use std::time::{Duration, Instant};

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

fn client() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).build().expect("build a client")
}

impl Manned {
    fn get(&self, path: &str) -> RequestBuilder {
        client().get(format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let body = form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let request = client().post(format!("{}{path}", self.url)).body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    async fn try_to_sign_in(&self, password: &str) -> Response {
        let form = [("login", LOGIN), ("password", password)];
        self.post("/console/login", &form).header(OURS.0, OURS.1).send().await.expect("an answer")
    }

    /// The cookie of a new session, and the token of its forms.
    async fn session(&self) -> (String, String) {
        let response = self.try_to_sign_in(&self.password).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let page = self.get("/console/search").header("cookie", &cookie).send().await.expect("a page");
        let page = page.text().await.expect("text");
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).expect("a form").split('"').next().expect("a token");
        (cookie, csrf.to_owned())
    }

    async fn parked(&self) -> Submission {
        self.stack.sandbox.set_rejecting("ledger", true);
        let transaction = self.stack.submit("t", "10.00").await;
        self.stack.settled(&transaction).await;
        let refund = self.stack.refund("r", "t", Some("4.00")).await;
        assert_eq!(self.stack.settled(&refund).await["status"], "needs_attention");
        refund
    }
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("an answer").status()
}

#[tokio::test]
async fn a_change_needs_a_form_of_the_session_from_our_own_page_and_a_reason() {
    let manned = Manned::start().await;
    let refund = manned.parked().await;
    let (cookie, csrf) = manned.session().await;
    let path = format!("/console/commands/{}/retry", refund.id);
    let act = |form: &[(&str, &str)]| manned.post(&path, form).header("cookie", &cookie);
    let good = [("csrf", &*csrf), ("why", "a+test")];
    let host = manned.url.trim_start_matches("http://");
    for foreign in ["same-site", "cross-site", "none"] {
        assert_eq!(status(act(&good).header("sec-fetch-site", foreign)).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(status(act(&good)).await, StatusCode::FORBIDDEN, "nobody says where it comes from");
    let origin = |origin: &str| act(&good).header("origin", origin.to_owned()).header("host", host);
    assert_eq!(status(origin("http://evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(origin("null")).await, StatusCode::FORBIDDEN);
    let ours = |form: &[(&str, &str)]| act(form).header(OURS.0, OURS.1);
    let (_, of_another) = manned.session().await;
    assert_eq!(status(ours(&[("csrf", &*of_another), ("why", "a+test")])).await, StatusCode::FORBIDDEN);
    assert_eq!(status(ours(&[("why", "a+test")])).await, StatusCode::FORBIDDEN);
    assert_eq!(status(ours(&[("csrf", &*csrf), ("why", "+")])).await, StatusCode::UNPROCESSABLE_ENTITY);
    let signed_out = manned.post(&path, &good).header(OURS.0, OURS.1);
    assert_eq!(status(signed_out).await, StatusCode::SEE_OTHER);
    assert_eq!(manned.stack.get(&refund.this).await["status"], "needs_attention", "nothing was changed so far");
    manned.stack.sandbox.set_rejecting("ledger", false);
    assert_eq!(status(ours(&good)).await, StatusCode::SEE_OTHER);
    assert_eq!(manned.stack.settled(&refund).await["status"], "completed");
}

#[tokio::test]
async fn pages_are_for_those_who_have_signed_in_and_load_nothing_from_elsewhere() {
    let manned = Manned::with(None, Vec::new()).await;
    for path in [
        "/console",
        "/console/search?q=x",
        "/console/attention",
        "/console/dead-letters",
        "/console/partners",
        "/console/events",
    ] {
        assert_eq!(status(manned.get(path)).await, StatusCode::SEE_OTHER, "{path}");
    }
    assert_eq!(status(manned.get("/console/overview")).await, StatusCode::UNAUTHORIZED);
    let (cookie, csrf) = manned.session().await;
    let page = manned.get("/console").header("cookie", &cookie).send().await.expect("a page");
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let text = page.text().await.expect("text");
    let style = text.split("href=\"/console/assets/").nth(1).expect("a style").split('"').next().expect("its name");
    let style = manned.get(&format!("/console/assets/{style}")).send().await.expect("a style");
    assert!(style.headers()["cache-control"].to_str().expect("text").contains("immutable"));

    let public = client().get(format!("{}/console", manned.stack.api_url)).send().await.expect("an answer");
    assert_eq!(public.status(), StatusCode::NOT_FOUND, "clients' listener never serves it");

    let leave = manned.post("/console/logout", &[("csrf", &*csrf)]).header("cookie", &cookie).header(OURS.0, OURS.1);
    assert_eq!(status(leave).await, StatusCode::SEE_OTHER);
    assert_eq!(status(manned.get("/console").header("cookie", &cookie)).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sessions_end_when_idle_when_old_and_with_their_operator() {
    let manned = Manned::with(None, Vec::new()).await;
    let is_in = async |cookie: &str| status(manned.get("/console").header("cookie", cookie)).await == StatusCode::OK;
    let (cookie, _) = manned.session().await;
    manned.stack.advance(Duration::from_secs(1_700)).await;
    assert!(is_in(&cookie).await);
    manned.stack.advance(Duration::from_secs(1_700)).await;
    assert!(is_in(&cookie).await, "being busy keeps it");
    manned.stack.advance(Duration::from_secs(1_900)).await;
    assert!(!is_in(&cookie).await, "it was idle");
    let (cookie, _) = manned.session().await;
    for _ in 0..30 {
        manned.stack.advance(Duration::from_secs(1_500)).await;
        is_in(&cookie).await;
    }
    assert!(!is_in(&cookie).await, "however busy, it has its end");
    let (cookie, _) = manned.session().await;
    manned.stack.cli(&["operators", "disable", LOGIN]).await;
    assert!(!is_in(&cookie).await);
    assert_eq!(manned.try_to_sign_in(&manned.password).await.status(), StatusCode::UNAUTHORIZED);
    assert!(manned.stack.cli(&["operators", "list"]).await.contains("disabled"));
}

#[tokio::test]
async fn passwords_are_not_guessed() {
    let manned = Manned::with(None, Vec::new()).await;
    for _ in 0..8 {
        assert_eq!(manned.try_to_sign_in("a wrong password").await.status(), StatusCode::UNAUTHORIZED);
    }
    let response = manned.try_to_sign_in(&manned.password).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn while_postgres_is_down_a_page_says_so_and_does_not_hang() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let patience = ("HOLDFAST__CONSOLE__PATIENCE_MS", "1000".to_owned());
    let manned = Manned::with(Some(gate.address), vec![patience]).await;
    let (cookie, _) = manned.session().await;
    for cut in [Gate::close, Gate::freeze] {
        cut(&gate);
        let started = Instant::now();
        let page = manned.get("/console/attention").header("cookie", &cookie).send().await.expect("a page");
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.text().await.expect("text").contains("Postgres does not answer"));
        assert!(started.elapsed() < Duration::from_secs(10));
        gate.open();
        holdfast_testkit::eventually("it is back", || async {
            let page = manned.get("/console/attention").header("cookie", &cookie).send().await.ok()?;
            (page.status() == StatusCode::OK).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn of_an_archived_command_operators_too_see_its_tombstone_alone() {
    let mut manned = Manned::with(None, vec![("HOLDFAST__RETENTION__ENABLED", "false".to_owned())]).await;
    manned.stack.start_worker();
    let submission = manned.stack.submit("a-key", "1.00").await;
    manned.stack.settled(&submission).await;
    let told = manned.stack.told(&submission)[0].headers["webhook-id"].clone();
    manned.stack.advance(Duration::from_secs(401 * 86_400)).await;
    manned.stack.cli(&["retention", "run"]).await;
    let (cookie, csrf) = manned.session().await;
    let path = format!("/console/commands/{}", submission.id);
    let page = manned.get(&path).header("cookie", &cookie).send().await.expect("a page");
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.expect("text");
    assert!(page.contains("a-key") && page.contains("completed") && page.contains("archived"), "{page}");
    assert!(!page.contains("1.00") && !page.contains("Send again"), "{page}");
    let form = [("csrf", &*csrf), ("callback", &*told), ("why", "a+test")];
    let resend = manned.post(&format!("{path}/resend"), &form).header("cookie", &cookie).header(OURS.0, OURS.1);
    assert_eq!(status(resend).await, StatusCode::UNPROCESSABLE_ENTITY);
    let found = manned.get("/console/search?q=a-key").header("cookie", &cookie).send().await.expect("a page");
    assert!(found.text().await.expect("text").contains("archived"));
}
