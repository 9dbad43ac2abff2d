//! Is the work being done, and what waits for a person?

use super::finding::Finding;
use holdfast_app::App;
use holdfast_store::census::{self, Desk, Owed};
use std::time::Duration;

/// A worker that was heard of within this time lives.
const LIVES: Duration = Duration::from_secs(10);

/// What is due for longer is not being done.
const LATE: Duration = Duration::from_secs(10);
const TOO_LATE: Duration = Duration::from_secs(60);

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    let counted = async {
        Ok::<_, holdfast_app::StoreError>((census::desk(&app.pool, LIVES).await?, census::owed(&app.pool).await?))
    };
    match counted.await {
        Ok((desk, owed)) => judge(desk, &owed),
        Err(error) => vec![Finding::fail("work", format!("{:#}", anyhow::Error::new(error)))],
    }
}

fn judge(desk: Desk, owed: &[Owed]) -> Vec<Finding> {
    let mut findings = vec![workers(desk.workers), due(owed)];
    let suspects: i64 = owed.iter().map(|owed| owed.suspect).sum();
    if suspects > 0 {
        let found = format!("{suspects} have failed twice or more without getting any further");
        findings.push(Finding::warn("suspects", found).so("look for `could not carry a command further` in the log"));
    }
    findings.push(person("dead letters", desk.dead_letters, "holdfast dlq list"));
    findings.push(person("parked commands", desk.parked, "holdfast attention list"));
    findings.push(person("items", desk.items, "holdfast attention list"));
    findings
}

/// Functions of AWS Lambda live for one invocation: none to be seen is no proof.
fn workers(alive: i64) -> Finding {
    match alive {
        0 => {
            Finding::warn("workers", "none is alive").so("start holdfast-worker, unless all work is done in AWS Lambda")
        }
        alive => Finding::ok("workers", format!("{alive} alive")),
    }
}

fn due(owed: &[Owed]) -> Finding {
    const ABOUT: &str = "what is due";
    let count: i64 = owed.iter().map(|owed| owed.due).sum();
    let Some(oldest) = owed.iter().filter(|owed| owed.due > 0).max_by_key(|owed| owed.oldest_due) else {
        return Finding::ok(ABOUT, "nothing waits for a worker");
    };
    let age = oldest.oldest_due;
    let found = format!("{count} rows, the oldest ({}) for {:.1} s", oldest.kind, age.as_secs_f64());
    let advice = "do workers live that have this kind among their queues, with slots to spare? \
                  See docs/operations.md, Scale";
    match age {
        age if age >= TOO_LATE => Finding::fail(ABOUT, found).so(advice),
        age if age >= LATE => Finding::warn(ABOUT, found).so(advice),
        _ => Finding::ok(ABOUT, found),
    }
}

fn person(about: &str, count: i64, command: &str) -> Finding {
    match count {
        0 => Finding::ok(about, "none"),
        count => Finding::warn(about, format!("{count} wait for a person")).so(format!("see `{command}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use holdfast_domain::{Kind, Lane};

    fn owed(due: i64, oldest_due: Duration) -> Owed {
        Owed { kind: Kind::Order, lane: Lane::Run, waiting: 0, due, claimed: 0, suspect: 0, oldest_due }
    }

    #[test]
    fn what_is_left_alone_for_long_fails() {
        assert_eq!(due(&[owed(0, Duration::ZERO)]).level, Level::Ok);
        assert_eq!(due(&[owed(5, Duration::from_secs(1)), owed(1, LATE)]).level, Level::Warn);
        assert_eq!(due(&[owed(1, TOO_LATE)]).level, Level::Fail);
    }

    #[test]
    fn what_waits_for_a_person_warns() {
        let desk = Desk { parked: 1, items: 0, dead_letters: 2, workers: 1 };
        let levels: Vec<_> = judge(desk, &[]).into_iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Ok, Level::Warn, Level::Warn, Level::Ok]);
    }
}
