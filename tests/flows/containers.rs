//! What containers run and ask.

use holdfast_testkit::{Options, Stack, eventually};
use std::time::Duration;

#[tokio::test]
async fn a_dead_api_is_not_healthy() {
    let mut stack = Stack::with(Options::default()).await;
    assert!(stack.succeeds("holdfast-api", &["healthcheck"]).await);
    stack.stop_api().await;
    assert!(!stack.succeeds("holdfast-api", &["healthcheck"]).await);
}

#[tokio::test]
async fn a_worker_is_healthy_while_its_heart_beats() {
    let mut stack = Stack::with(Options::default()).await;
    assert!(!stack.succeeds("holdfast-worker", &["healthcheck"]).await, "there is none");
    stack.start_worker();
    eventually("its first beat", || async { stack.succeeds("holdfast-worker", &["healthcheck"]).await.then_some(()) })
        .await;
    stack.kill_workers().await;
    stack.advance(Duration::from_secs(60)).await;
    assert!(!stack.succeeds("holdfast-worker", &["healthcheck"]).await, "it was killed");
}

#[tokio::test]
async fn the_sandbox_and_the_demo_run_by_themselves() {
    let stack = Stack::start().await;
    let sandbox = ["sandbox", "--listen", "127.0.0.1:18081", "--inbox-listen", "127.0.0.1:18082"];
    let healthcheck = ["healthcheck", "--listen", "127.0.0.1:18081"];
    let running = stack.start_with("holdfast-devstack", &sandbox);
    eventually("the sandbox listens", || async {
        stack.succeeds("holdfast-devstack", &healthcheck).await.then_some(())
    })
    .await;
    drop(running);
    // Twice: the second time with the client that was created the first time.
    for _ in 0..2 {
        let demo = ["demo", "--api-url", &stack.api_url, "--inbox-url", &stack.inbox_url];
        assert!(stack.succeeds("holdfast-devstack", &demo).await);
    }
}
