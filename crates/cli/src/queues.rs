//! `holdfast queues`: what lies in SQS, what Postgres says is owed, and how fast both change.

use crate::output::{Format, Table, note, say};
use anyhow::{Context as _, ensure};
use clap::Args;
use holdfast_app::{App, pause};
use holdfast_domain::{Kind, Lane};
use holdfast_queue::{Counts, Queue};
use holdfast_store::census::{self, Inserted, Owed};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Queues {
    /// Looks again and again, in place, and says how fast things change.
    #[arg(long)]
    watch: bool,
    /// Between two looks.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    interval_s: u64,
}

/// One look.
struct Look {
    at: Instant,
    /// `Err`: what SQS says instead.
    queues: Vec<(String, Result<Counts, holdfast_queue::Error>)>,
    owed: Vec<Owed>,
    inserted: Inserted,
}

pub(crate) async fn run(app: &App, format: Format, queues: Queues) -> anyhow::Result<()> {
    let (mut before, mut above) = (None, 0);
    loop {
        match look(app).await {
            Ok(look) => {
                match format {
                    Format::Json if queues.watch => say(document(&look, before.as_ref())),
                    Format::Json => format.one(&document(&look, None)),
                    Format::Table => above = print(&look, before.as_ref(), above),
                }
                before = Some(look);
            }
            // An outage is what somebody who watches wants to see the end of.
            Err(error) if before.is_some() => {
                note(format_args!("{error:#}"));
                above = 0;
            }
            Err(error) => return Err(error),
        }
        if !queues.watch {
            return all_known(before.as_ref());
        }
        pause(Duration::from_secs(queues.interval_s)).await;
    }
}

fn all_known(look: Option<&Look>) -> anyhow::Result<()> {
    let unknown = look.map_or(0, |look| look.queues.iter().filter(|(_, counts)| counts.is_err()).count());
    ensure!(unknown == 0, "sqs said nothing of {unknown} queues");
    Ok(())
}

async fn look(app: &App) -> anyhow::Result<Look> {
    let mut names = Vec::new();
    for kind in Kind::ALL {
        names.extend(app.queues.all_of(kind));
    }
    names.push(app.queues.journal());
    let counts = async |queue: &Queue| (queue.name().to_owned(), queue.counts().await);
    let queues = futures::future::join_all(names.into_iter().map(counts)).await;
    let owed = census::owed(&app.pool).await.context("ask postgres what is owed")?;
    let inserted = census::inserted(&app.pool).await.context("ask postgres for its statistics")?;
    Ok(Look { at: Instant::now(), queues, owed, inserted })
}

/// Over what was printed before, where that can be done. Answers how many lines stand there now.
fn print(look: &Look, before: Option<&Look>, above: usize) -> usize {
    if before.is_none() {
        look.queues.iter().filter_map(|(_, counts)| counts.as_ref().err()).for_each(note);
    }
    let lines = lines(look, before);
    let text = lines.join("\n");
    match std::io::stdout().is_terminal() && above > 0 {
        // Up so many lines, and clear from there.
        true => say(format_args!("\u{1b}[{above}A\u{1b}[J{text}")),
        false => say(text),
    }
    lines.len()
}

fn lines(look: &Look, before: Option<&Look>) -> Vec<String> {
    let mut queues = Table::new(&["queue", "visible", "in flight", "delayed", "visible/s"]);
    for (at, (name, counts)) in look.queues.iter().enumerate() {
        let count = |of: fn(&Counts) -> u64| counts.as_ref().map_or("-".to_owned(), |counts| of(counts).to_string());
        let cells = [
            name.clone(),
            count(|counts| counts.waiting),
            count(|counts| counts.in_flight),
            count(|counts| counts.delayed),
            shown(queue_rate(look, before, at)),
        ];
        queues.push(cells, Value::Null);
    }
    let mut owed = Table::new(&["owed", "lane", "due", "claimed", "waiting", "oldest due s", "due/s"]);
    for (at, row) in look.owed.iter().enumerate() {
        let cells = [
            row.kind.to_string(),
            lane(row.lane).to_owned(),
            row.due.to_string(),
            row.claimed.to_string(),
            row.waiting.to_string(),
            format!("{:.1}", row.oldest_due.as_secs_f64()),
            shown(owed_rate(look, before, at)),
        ];
        owed.push(cells, Value::Null);
    }
    let mut lines = queues.lines();
    lines.push(String::new());
    lines.extend(owed.lines());
    if let Some((accepted, ended)) = rates(look, before) {
        lines.extend([String::new(), format!("accepted {accepted:.1}/s, ended or parked {ended:.1}/s")]);
    }
    lines
}

fn document(look: &Look, before: Option<&Look>) -> Value {
    let queue = |(at, (name, counts)): (usize, &(String, Result<Counts, holdfast_queue::Error>))| match counts {
        Ok(counts) => json!({
            "queue": name,
            "visible": counts.waiting,
            "inFlight": counts.in_flight,
            "delayed": counts.delayed,
            "visiblePerS": queue_rate(look, before, at),
        }),
        Err(error) => json!({ "queue": name, "error": error.to_string() }),
    };
    let owed = |(at, row): (usize, &Owed)| {
        json!({
            "kind": row.kind,
            "lane": row.lane,
            "due": row.due,
            "claimed": row.claimed,
            "waiting": row.waiting,
            "oldestDueS": row.oldest_due.as_secs_f64(),
            "duePerS": owed_rate(look, before, at),
        })
    };
    let rates = rates(look, before);
    json!({
        "queues": look.queues.iter().enumerate().map(queue).collect::<Vec<_>>(),
        "owed": look.owed.iter().enumerate().map(owed).collect::<Vec<_>>(),
        "acceptedPerS": rates.map(|(accepted, _)| accepted),
        "endedPerS": rates.map(|(_, ended)| ended),
    })
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Run => "run",
        Lane::Tell => "tell",
    }
}

fn shown(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{rate:+.1}"))
}

/// Per second since the look before.
fn rate(look: &Look, before: &Look, from: i64, to: i64) -> f64 {
    (to - from) as f64 / (look.at - before.at).as_secs_f64().max(0.001)
}

fn queue_rate(look: &Look, before: Option<&Look>, at: usize) -> Option<f64> {
    let waiting = |look: &Look| look.queues[at].1.as_ref().ok().map(|counts| counts.waiting.cast_signed());
    Some(rate(look, before?, waiting(before?)?, waiting(look)?))
}

fn owed_rate(look: &Look, before: Option<&Look>, at: usize) -> Option<f64> {
    Some(rate(look, before?, before?.owed[at].due, look.owed[at].due))
}

/// Accepted, and ended or parked.
fn rates(look: &Look, before: Option<&Look>) -> Option<(f64, f64)> {
    let (from, to) = (before?.inserted, look.inserted);
    Some((rate(look, before?, from.commands, to.commands), rate(look, before?, from.outcomes, to.outcomes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: Instant, waiting: u64, due: i64, commands: i64) -> Look {
        let owed = Owed {
            kind: Kind::Order,
            lane: Lane::Run,
            waiting: 0,
            due,
            claimed: 1,
            suspect: 0,
            oldest_due: Duration::from_millis(1_250),
        };
        let counts = Counts { waiting, ..Counts::default() };
        let inserted = Inserted { commands, outcomes: 0 };
        Look { at, queues: vec![("orders".to_owned(), Ok(counts))], owed: vec![owed], inserted }
    }

    #[test]
    fn the_second_look_says_how_fast_things_change() {
        let now = Instant::now();
        let (first, second) = (look(now, 10, 5, 100), look(now + Duration::from_secs(2), 4, 9, 130));
        let alone = document(&first, None);
        assert_eq!((&alone["queues"][0]["visible"], &alone["acceptedPerS"]), (&json!(10), &Value::Null));
        let both = document(&second, Some(&first));
        assert_eq!(both["queues"][0]["visiblePerS"], -3.0);
        assert_eq!((&both["owed"][0]["duePerS"], &both["acceptedPerS"]), (&json!(2.0), &json!(15.0)));
        let lines = lines(&second, Some(&first));
        assert_eq!(lines[1], "orders        4          0        0       -3.0");
        assert_eq!(lines.last().map(String::as_str), Some("accepted 15.0/s, ended or parked 0.0/s"));
    }
}
