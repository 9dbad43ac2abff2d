//! From the trail to rows.

use super::{Lane, Row, Shape};
use crate::layout::Tone;
use crate::text;
use chrono::{DateTime, TimeDelta, Utc};
use holdfast_domain::trail::{Answer, Entry, Happening};
use holdfast_domain::{Lane as Owing, Status};
use holdfast_store::callback_resends::Resend;
use holdfast_store::wakeups::Standing;

/// A silence of this length that nothing explains is shown as such.
const LONG: TimeDelta = TimeDelta::seconds(1);

/// What is known of a command.
pub(crate) struct Source<'a> {
    pub(crate) accepted_at: DateTime<Utc>,
    pub(crate) now: DateTime<Utc>,
    /// In the order of time.
    pub(crate) entries: &'a [Entry],
    pub(crate) resends: &'a [Resend],
    /// What is still owed.
    pub(crate) standing: &'a [Standing],
}

/// Everything that happened, in the order of time, then what is expected.
pub(crate) fn read(source: &Source<'_>) -> Vec<Row> {
    let accepted = Row { outcome: good("accepted"), ..moment(Lane::Run, source.accepted_at, "accepted") };
    let mut rows = vec![accepted];
    rows.extend(source.entries.iter().map(row));
    rows.extend(source.resends.iter().map(|resend| Row {
        detail: Some(format!("{}: {}", resend.by, resend.why)),
        ..moment(Lane::Operator, resend.at, "had the callback sent again")
    }));
    rows.sort_by_key(|row| row.from);
    cut_short(&mut rows);
    let mut rows = with_silences(together(rows));
    rows.extend(source.standing.iter().map(|standing| expected(standing, source.now)));
    rows
}

fn row(entry: &Entry) -> Row {
    let at = entry.at;
    match &entry.what {
        Happening::Claimed { worker, taken_over } => Row {
            outcome: taken_over.then(|| (Tone::Warn, "taken over".to_owned())),
            detail: taken_over.then(|| "what the one before was doing may have happened".to_owned()),
            ..moment(Lane::Run, at, format!("claimed by worker {}", worker.0))
        },
        Happening::Recorded => moment(Lane::Run, at, "recorded"),
        Happening::Created { partner, attempt, answer } => asked(partner, at, format!("creation {attempt}"), answer),
        Happening::LookedUp { partner, answer } => asked(partner, at, "look-up".to_owned(), answer),
        Happening::Polled { partner, answer } => asked(partner, at, "poll".to_owned(), answer),
        Happening::Notified { partner, event_id, outcome, received_at } => Row {
            outcome: Some((of_status(*outcome), outcome.to_string())),
            detail: Some(format!("{event_id}, received {}", received_at.format("%H:%M:%S%.3f"))),
            ..moment(Lane::Partner(partner.clone()), at, "webhook")
        },
        Happening::Waiting { for_ms, why } => {
            let until = at + TimeDelta::milliseconds(i64::try_from(*for_ms).unwrap_or(0).min(i64::from(i32::MAX)));
            Row { shape: Shape::Wait, ..Row::new(Lane::Run, at, until, format!("waits: {why}")) }
        }
        Happening::Finished { status, .. } => ended(Lane::Run, at, *status, None),
        Happening::Rejected { conflicts_with } => Row {
            outcome: Some((Tone::Bad, "rejected".to_owned())),
            detail: Some(format!("{conflicts_with} stands under its key")),
            ..moment(Lane::Run, at, "ended")
        },
        Happening::Cancelled => ended(Lane::Client, at, Status::Cancelled, None),
        Happening::Retried { by, why } => {
            Row { detail: Some(format!("{by}: {why}")), ..moment(Lane::Operator, at, "had it carried on") }
        }
        Happening::Resolved { status, by, why } => ended(Lane::Operator, at, *status, Some(format!("{by}: {why}"))),
        Happening::CallbackAttempted { attempt, status, answer, excerpt, .. } => Row {
            lane: Lane::Client,
            detail: joined([answer.detail.clone(), excerpt.as_ref().map(|text| format!("“{text}”"))]),
            ..asked("", at, format!("told {status}, attempt {attempt}"), answer)
        },
        Happening::CallbackGivenUp { why, .. } => Row {
            outcome: Some((Tone::Bad, "given up".to_owned())),
            detail: Some(why.clone()),
            ..moment(Lane::Client, at, "callback")
        },
    }
}

fn moment(lane: Lane, at: DateTime<Utc>, what: impl Into<String>) -> Row {
    Row::new(lane, at, at, what)
}

/// A request, which was written down when its answer was there.
fn asked(partner: &str, at: DateTime<Utc>, what: String, answer: &Answer) -> Row {
    let took = TimeDelta::milliseconds(i64::try_from(answer.took_ms).unwrap_or(0).min(i64::from(i32::MAX)));
    let status = answer.http_status.map_or_else(String::new, |status| format!(" {status}"));
    Row {
        outcome: Some((of_answer(answer), format!("{}{status}", answer.outcome.replace('_', " ")))),
        detail: answer.detail.clone(),
        ..Row::new(Lane::Partner(partner.to_owned()), at - took, at, what)
    }
}

fn ended(lane: Lane, at: DateTime<Utc>, status: Status, detail: Option<String>) -> Row {
    let name = status.name().replace('_', " ");
    Row { outcome: Some((of_status(status), name)), detail, ..moment(lane, at, "ended") }
}

fn joined(parts: [Option<String>; 2]) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn good(text: &str) -> Option<(Tone, String)> {
    Some((Tone::Good, text.to_owned()))
}

pub(crate) const fn of_status(status: Status) -> Tone {
    match status {
        Status::Accepted | Status::Cancelled => Tone::Plain,
        Status::Processing | Status::Pending => Tone::Busy,
        Status::Completed => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::NeedsAttention => Tone::Warn,
    }
}

fn of_answer(answer: &Answer) -> Tone {
    match answer.outcome.as_str() {
        "accepted" | "completed" | "delivered" => Tone::Good,
        "rejected" | "failed" | "refused" | "gone" => Tone::Bad,
        "unknown" | "unavailable" | "unreachable" => Tone::Warn,
        "pending" => Tone::Busy,
        _ => Tone::Plain,
    }
}

/// A wait ends with what comes next, if that comes sooner.
fn cut_short(rows: &mut [Row]) {
    let mut next: Option<DateTime<Utc>> = None;
    for row in rows.iter_mut().rev() {
        if let (Shape::Wait, Some(next)) = (row.shape, next) {
            row.to = row.to.min(next.max(row.from));
        }
        if matches!(row.lane, Lane::Run | Lane::Partner(_)) {
            next = Some(row.from);
        }
    }
}

/// Polls with the same answer, one after the other, are one row.
fn together(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match kept.last_mut() {
            Some(last) if row.what == "poll" && is_same(last, &row) => {
                last.times += 1;
                last.to = row.to;
            }
            _ => kept.push(row),
        }
    }
    kept
}

fn is_same(one: &Row, other: &Row) -> bool {
    (&one.lane, &one.what, &one.outcome, &one.detail) == (&other.lane, &other.what, &other.outcome, &other.detail)
}

/// Between rows with nothing in between for long, a row that says so.
fn with_silences(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut until: Option<DateTime<Utc>> = None;
    for row in rows {
        if let Some(until) = until.filter(|until| row.from - *until >= LONG) {
            let silence = format!("nothing for {}", text::between(until, row.from));
            kept.push(Row { shape: Shape::Wait, ..Row::new(Lane::Run, until, row.from, silence) });
        }
        until = until.max(Some(row.to));
        kept.push(row);
    }
    kept
}

fn expected(standing: &Standing, now: DateTime<Utc>) -> Row {
    let (lane, what) = match standing.lane {
        Owing::Run => (Lane::Run, format!("step {}", standing.step)),
        Owing::Tell => (Lane::Client, format!("callback, after {} attempts", standing.tries)),
    };
    let lease = standing.lease_until.filter(|until| *until > now);
    let at = standing.next_try_at.unwrap_or(standing.run_at).max(standing.run_at).max(now);
    let (shape, to, outcome) = match (lease, standing.worker) {
        (Some(until), Some(worker)) => {
            (Shape::Act, until, (Tone::Busy, format!("in the hands of worker {}", worker.0)))
        }
        _ if at > now => (Shape::Wait, at, (Tone::Plain, format!("in {}", text::between(now, at)))),
        _ => (Shape::Act, now, (Tone::Busy, "due".to_owned())),
    };
    let failures = standing.failures;
    let detail = (failures > 0).then(|| format!("{failures} runs came to nothing without any progress"));
    Row { shape, outcome: Some(outcome), detail, is_expected: true, ..Row::new(lane, now.min(to), to, what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::WorkerId;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).expect("a time")
    }

    fn answer(outcome: &str, took_ms: u64) -> Answer {
        Answer { outcome: outcome.to_owned(), http_status: Some(200), detail: None, took_ms }
    }

    fn rows(entries: Vec<(i64, Happening)>, standing: &[Standing]) -> Vec<Row> {
        let entries: Vec<_> = entries.into_iter().map(|(ms, what)| Entry::new(at(ms), what)).collect();
        read(&Source { accepted_at: at(0), now: at(60_000), entries: &entries, resends: &[], standing })
    }

    #[test]
    fn a_request_began_before_it_was_written_down() {
        let created = Happening::Created { partner: "p".to_owned(), attempt: 1, answer: answer("accepted", 150) };
        let rows = rows(vec![(200, created)], &[]);
        assert_eq!((rows[1].from, rows[1].to), (at(50), at(200)));
        assert_eq!(rows[1].outcome, Some((Tone::Good, "accepted 200".to_owned())));
    }

    #[test]
    fn equal_polls_are_one_row_and_silences_are_named() {
        let poll = |ms, outcome| (ms, Happening::Polled { partner: "p".to_owned(), answer: answer(outcome, 0) });
        let rows = rows(vec![poll(10, "pending"), poll(30, "pending"), poll(5_030, "completed")], &[]);
        let told: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.times)).collect();
        assert_eq!(told, [("accepted", 1), ("poll", 2), ("nothing for 5.00 s", 1), ("poll", 1)]);
    }

    #[test]
    fn what_is_owed_is_expected() {
        let owed = |worker, lease_ms: Option<i64>, run_ms| Standing {
            lane: Owing::Run,
            step: "submit".to_owned(),
            worker,
            lease_until: lease_ms.map(at),
            run_at: at(run_ms),
            next_try_at: None,
            tries: 0,
            failures: 0,
        };
        let told = |standing| rows(Vec::new(), &[standing]).pop().expect("a row").outcome.expect("one").1;
        assert_eq!(told(owed(Some(WorkerId(7)), Some(70_000), 0)), "in the hands of worker 7");
        assert_eq!(told(owed(None, None, 180_000)), "in 2 min");
        assert_eq!(told(owed(None, None, 0)), "due");
        assert_eq!(told(owed(Some(WorkerId(7)), Some(50_000), 0)), "due");
    }
}
