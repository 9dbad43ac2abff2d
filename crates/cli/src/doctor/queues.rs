//! SQS: do the queues exist, and do they treat messages as Holdfast counts on?

use super::finding::Finding;
use holdfast_app::App;
use holdfast_app::track::Track;
use holdfast_domain::Kind;
use holdfast_queue::{Attributes, Error, Queue, Redrive};
use std::time::Duration;

/// The longest that SQS keeps a message, and what is wanted where it may be the last trace of a command.
const FORTNIGHT: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Of a kind's messages: the relay sends another long before.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Receives before a message is put aside. Fewer, and a deployment alone would do it.
const RECEIVES: std::ops::RangeInclusive<u32> = 3..=10;

const TERRAFORM: &str = "make it as terraform/queues.json says, or see queues.* of the configuration";

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    let kinds = Kind::ALL.map(|kind| of_kind(app, kind));
    let (kinds, journal) = tokio::join!(futures::future::join_all(kinds), journal(app));
    kinds.into_iter().flatten().chain(journal).collect()
}

async fn of_kind(app: &App, kind: Kind) -> Vec<Finding> {
    let (queues, dead) = (Track::ALL.map(|track| app.queues.on(kind, track)), app.queues.dead_letters_of(kind));
    let attributes = futures::future::join_all(queues.map(Queue::attributes));
    let (attributes, dead_attributes) = tokio::join!(attributes, dead.attributes());
    let to = DeadLetters { name: dead.name(), arn: dead_attributes.as_ref().ok().map(|dead| &*dead.arn) };
    let judge = |(queue, attributes): (&Queue, _)| match attributes {
        Ok(attributes) => judge_kind(queue.name(), &attributes, to, app.config.worker.lease_ms.get()),
        Err(error) => missing(queue, &error),
    };
    let mut findings: Vec<_> = queues.into_iter().zip(attributes).map(judge).collect();
    findings.push(match &dead_attributes {
        Ok(attributes) => judge_dead(dead.name(), attributes),
        Err(error) => missing(dead, error),
    });
    findings.extend(undrained(dead).await);
    findings
}

async fn journal(app: &App) -> Vec<Finding> {
    let queue = app.queues.journal();
    let write = app.config.database.statement_timeout_ms.get();
    vec![match queue.attributes().await {
        Ok(attributes) => judge_journal(queue.name(), &attributes, write),
        Err(error) => missing(queue, &error),
    }]
}

fn about(name: &str) -> String {
    format!("queue {name}")
}

fn missing(queue: &Queue, error: &Error) -> Finding {
    Finding::fail(about(queue.name()), error.to_string())
        .so(format!("see region, endpoint, credentials and the policy of this role; if it does not exist, {TERRAFORM}"))
}

/// Where the dead letters of a kind must go.
#[derive(Clone, Copy)]
struct DeadLetters<'a> {
    name: &'a str,
    /// If it can be looked at.
    arn: Option<&'a str>,
}

impl DeadLetters<'_> {
    fn is_target_of(self, redrive: &Redrive) -> bool {
        match self.arn {
            Some(arn) => redrive.to == arn,
            None => redrive.to.rsplit(':').next() == Some(self.name),
        }
    }
}

/// A message that is received again while its command is in hand is refused and deleted, which costs a look; one that was
/// received too often is put aside.
fn judge_kind(name: &str, attributes: &Attributes, dead: DeadLetters<'_>, lease: Duration) -> Finding {
    let about = about(name);
    let Some(redrive) = &attributes.redrive else {
        return Finding::fail(about, "has no redrive policy: what cannot be handled comes back for ever").so(TERRAFORM);
    };
    if !dead.is_target_of(redrive) {
        let found = format!("its dead letters go to {}, where nobody looks: workers drain {}", redrive.to, dead.name);
        return Finding::fail(about, found).so(TERRAFORM);
    }
    if !RECEIVES.contains(&redrive.after) {
        let found = format!("puts messages aside after {} receives", redrive.after);
        return Finding::warn(about, found).so("set maxReceiveCount to 3");
    }
    if attributes.visibility_timeout < lease {
        let found = format!(
            "shows a message again after {} s, while a claim stands for {} s (worker.lease_ms)",
            attributes.visibility_timeout.as_secs(),
            lease.as_secs()
        );
        return Finding::warn(about, found).so("raise its visibility timeout to the lease, or lower the lease");
    }
    if attributes.retention < DAY {
        let found = format!("keeps messages for {} s only", attributes.retention.as_secs());
        return Finding::warn(about, found).so("keep them for a day: first messages stand in for rows that are lost");
    }
    let found = format!(
        "{} receives, then {}; visible again after {} s",
        redrive.after,
        dead.name,
        attributes.visibility_timeout.as_secs()
    );
    Finding::ok(about, found)
}

fn judge_dead(name: &str, attributes: &Attributes) -> Finding {
    let about = about(name);
    if attributes.redrive.is_some() {
        return Finding::fail(about, "has a redrive policy of its own").so("remove it: dead letters must stay");
    }
    if attributes.retention < FORTNIGHT {
        let found =
            format!("keeps letters for {} s, counted from when they were first sent", attributes.retention.as_secs());
        return Finding::warn(about, found).so("keep them for 14 days");
    }
    Finding::ok(about, "keeps letters for 14 days")
}

/// An entry may be the only trace of a command that was promised.
fn judge_journal(name: &str, attributes: &Attributes, write: Duration) -> Finding {
    let about = about(name);
    if attributes.redrive.is_some() {
        let found = "has a redrive policy: after an outage of Postgres promised commands would be dead letters";
        return Finding::fail(about, found).so("remove it");
    }
    if attributes.retention < FORTNIGHT {
        let found = format!("keeps entries for {} s: they are promises", attributes.retention.as_secs());
        return Finding::fail(about, found).so("set its message retention to 14 days (1209600 s)");
    }
    if attributes.visibility_timeout <= write {
        let found = format!("shows an entry again after {} s", attributes.visibility_timeout.as_secs());
        return Finding::warn(about, found)
            .so("raise its visibility timeout over database.statement_timeout_ms, such as 30 s");
    }
    Finding::ok(about, "keeps entries for 14 days, redrives nothing")
}

/// Workers move letters into the database, where operators find them.
async fn undrained(dead: &Queue) -> Option<Finding> {
    let waiting = dead.counts().await.ok()?.waiting;
    let found = format!("{waiting} letters wait in it");
    let advice = "a worker must have `dead-letters` among its queues (docs/operations.md, The dead-letter queue grows)";
    (waiting > 0).then(|| Finding::warn(about(dead.name()), found).so(advice))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn attributes(redrive: Option<(&str, u32)>) -> Attributes {
        Attributes {
            arn: "arn:aws:sqs:eu-west-1:1:orders".to_owned(),
            visibility_timeout: LEASE,
            retention: FORTNIGHT,
            redrive: redrive.map(|(to, after)| Redrive { to: to.to_owned(), after }),
        }
    }

    fn kind(attributes: &Attributes) -> Level {
        let unseen = judge_kind("orders", attributes, DeadLetters { name: "orders-dlq", arn: None }, LEASE).level;
        let dead = DeadLetters { name: "orders-dlq", arn: Some("arn:aws:sqs:eu-west-1:1:orders-dlq") };
        assert_eq!(judge_kind("orders", attributes, dead, LEASE).level, unseen);
        unseen
    }

    #[test]
    fn a_kinds_queue_leads_to_its_own_dead_letters() {
        let good = attributes(Some(("arn:aws:sqs:eu-west-1:1:orders-dlq", 3)));
        assert_eq!(kind(&good), Level::Ok);
        assert_eq!(kind(&attributes(None)), Level::Fail);
        assert_eq!(kind(&attributes(Some(("arn:aws:sqs:eu-west-1:1:refunds-dlq", 3)))), Level::Fail);
        assert_eq!(kind(&attributes(Some(("arn:aws:sqs:eu-west-1:1:orders-dlq", 1)))), Level::Warn);
        assert_eq!(kind(&Attributes { visibility_timeout: LEASE / 2, ..good.clone() }), Level::Warn);
        assert_eq!(kind(&Attributes { retention: Duration::from_secs(60), ..good }), Level::Warn);
    }

    #[test]
    fn a_journal_keeps_what_was_promised() {
        let journal = |attributes: &Attributes| judge_journal("journal", attributes, Duration::from_secs(5)).level;
        assert_eq!(journal(&attributes(None)), Level::Ok);
        assert_eq!(journal(&attributes(Some(("arn:x:dlq", 3)))), Level::Fail);
        assert_eq!(journal(&Attributes { retention: DAY, ..attributes(None) }), Level::Fail);
        assert_eq!(journal(&Attributes { visibility_timeout: Duration::ZERO, ..attributes(None) }), Level::Warn);
    }

    #[test]
    fn dead_letters_stay() {
        assert_eq!(judge_dead("dlq", &attributes(None)).level, Level::Ok);
        assert_eq!(judge_dead("dlq", &attributes(Some(("arn:x:y", 3)))).level, Level::Fail);
        assert_eq!(judge_dead("dlq", &Attributes { retention: DAY, ..attributes(None) }).level, Level::Warn);
    }
}
