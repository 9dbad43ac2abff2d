//! The database goes back to a backup, partners and clients do not.

use holdfast_testkit::backup::Backup;
use holdfast_testkit::{Options, Stack, eventually};
use serde_json::Value;

/// As the runbook has it: what was owed then is doubted, and no creation goes before a lookup.
async fn restore(stack: &mut Stack, backup: &Backup, owed: usize) {
    stack.restore(backup).await;
    let said = stack.cli(&["restored", "--to", &backup.taken_at.to_rfc3339()]).await;
    assert!(said.contains(&format!("{owed} commands")), "{said}");
    stack.start_api(&[]).await;
    stack.start_worker_with(&[("HOLDFAST__PARTNERS__PROCESSOR__LOOKUP_FIRST", "true")]);
}

#[tokio::test]
async fn what_partners_did_after_the_backup_is_found_and_not_done_again() {
    let mut stack = Stack::with(Options::default()).await;
    // Each creation that arrives is an effect.
    stack.sandbox.set_dedupe(false);
    // One that was refused once, and will be tried again.
    stack.start_worker();
    let waiting = stack.submit("waiting", "1.03").await;
    eventually("its wait", || async {
        let trail = stack.trail(&waiting).await;
        trail.iter().any(|event| event["type"] == "waiting").then_some(())
    })
    .await;
    stack.stop_workers().await;
    let owed = stack.submit("owed", "1.00").await;
    let backup = stack.back_up().await;
    stack.start_worker();
    assert_eq!(stack.settled_in_time(&waiting).await["status"], "completed");
    let later = stack.submit("later", "2.00").await;
    for submission in [&owed, &later] {
        assert_eq!(stack.settled(submission).await["status"], "completed");
    }
    stack.stop_workers().await;
    stack.stop_api().await;

    restore(&mut stack, &backup, 2).await;
    assert_eq!(stack.settled(&owed).await["status"], "completed");
    assert_eq!(stack.settled_in_time(&waiting).await["status"], "completed");
    // Its row is lost, but its client knows it.
    let again = stack.submit("later", "2.00").await;
    assert_eq!(again.id, later.id);
    assert_eq!(stack.settled(&again).await["status"], "completed");
    for submission in [&owed, &waiting, &later] {
        assert_eq!(stack.at_partner(submission).effects, 1);
    }
    // The end is told once more, as the same message.
    let ids: Vec<_> = stack.told(&owed).into_iter().map(|told| told.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

/// A message of the time after the backup carries the whole command.
#[tokio::test]
async fn a_command_of_which_only_a_message_is_left_is_carried_out() {
    let mut stack = Stack::with(Options::default()).await;
    stack.submit("owed", "1.00").await;
    let backup = stack.back_up().await;
    let later = stack.submit("later", "2.00").await;
    // Nobody has received anything.
    stack.stop_api().await;
    restore(&mut stack, &backup, 1).await;
    eventually("its row", || async {
        let answer = stack.request("GET", &later.this).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        body["createdAt"].is_string().then_some(())
    })
    .await;
    assert_eq!(stack.settled(&later).await["status"], "completed");
    assert_eq!(stack.at_partner(&later).effects, 1);
}

#[tokio::test]
async fn nothing_is_marked_while_a_worker_runs_or_for_a_time_to_come() {
    let mut stack = Stack::with(Options::default()).await;
    assert!(!stack.succeeds("holdfast", &["restored", "--to", "2999-01-01T00:00:00Z"]).await);
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    assert!(!stack.succeeds("holdfast", &["restored", "--to", "2026-01-01T00:00:00Z"]).await);
    stack.stop_workers().await;
    assert!(stack.succeeds("holdfast", &["restored", "--to", "2026-01-01T00:00:00Z"]).await);
}

#[tokio::test]
async fn what_clients_cancelled_after_the_backup_stays_cancelled() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("t", "1.00").await;
    let backup = stack.back_up().await;
    let path = format!("{}/cancel", submission.this);
    let answer = stack.request("POST", &path).send().await.expect("an answer");
    assert!(answer.status().is_success());
    stack.stop_api().await;
    stack.restore(&backup).await;
    let to = backup.taken_at.to_rfc3339();
    let said = stack.cli(&["restored", "--to", &to, "--cancelled", &submission.id]).await;
    assert!(said.contains("0 commands"), "{said}");
    stack.start_api(&[]).await;
    stack.start_worker();
    assert_eq!(stack.settled(&submission).await["status"], "cancelled");
    assert_eq!(stack.at_partner(&submission).effects, 0);
}
