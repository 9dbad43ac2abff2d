//! How the overview looks: numbers first, plots beside them, tables below.

use super::partners::breaker;
use crate::layout::{Tone, head, pill};
use crate::plot::{self, Line};
use crate::queues::Depth;
use crate::samples::{ROOM, Sample, Seen};
use crate::text;
use holdfast_domain::breaker::Breaker;
use holdfast_domain::{Kind, Lane};
use holdfast_store::overview::Owed;
use holdfast_store::workers::Listed;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// A lag that somebody should look at, in seconds.
const LATE_S: f64 = 10.0;

/// Looks that the newest rates are the mean of: one alone jumps.
const RECENT: usize = 3;

/// A worker that was silent for longer may be dead.
const SILENT_S: f64 = 4.0;

pub(super) fn overview(seen: &Seen, queues: &[Depth]) -> Markup {
    html! {
        @if seen.is_blind { p.alarm role="alert" { "Postgres does not answer. What is shown is what was seen before." } }
        @else if seen.looked_at.is_none() { p.notice { "Looking for the first time …" } }
        (strip(seen))
        section.cards {
            @for (at, kind) in Kind::ALL.into_iter().enumerate() { (rates(seen, at, kind)) }
            (lag(seen, "Oldest due run", |sample| sample.run_lag_s))
            (lag(seen, "Oldest due callback", |sample| sample.tell_lag_s))
        }
        div.columns {
            section { h2 { "Owed" } (owed(&seen.owed)) }
            section { h2 { "Queues" } (depths(queues)) }
        }
        div.columns {
            section { h2 { "Partners" } (partners(&seen.workers)) }
            section { h2 { "Workers" } (workers(&seen.workers)) }
        }
    }
}

fn strip(seen: &Seen) -> Markup {
    let attention = &seen.attention;
    let open = open_breakers(&seen.workers);
    let suspect: i64 = seen.owed.iter().map(|owed| owed.suspect).sum();
    let tone = |number: i64, tone| if number > 0 { tone } else { Tone::Good };
    let workers = if attention.workers == 0 { Tone::Bad } else { Tone::Good };
    let people = attention.parked + attention.items;
    html! {
        section.strip {
            (figure("Workers alive", attention.workers, workers, "/console/partners"))
            (figure("Needs attention", people, tone(people, Tone::Warn), "/console/attention"))
            (figure("Dead letters", attention.letters, tone(attention.letters, Tone::Warn), "/console/dead-letters"))
            (figure("Breakers not closed", open, tone(open, Tone::Bad), "/console/partners"))
            (figure("Runs without progress", suspect, tone(suspect, Tone::Warn), "/console/attention"))
        }
    }
}

fn figure(name: &str, number: i64, tone: Tone, address: &str) -> Markup {
    html! {
        a class={ "figure " (tone.class()) } href=(address) { span.name { (name) } strong { (text::count(number)) } }
    }
}

fn open_breakers(workers: &[Listed]) -> i64 {
    let seen = workers.iter().filter_map(|worker| worker.partners.as_ref()).flat_map(BTreeMap::values);
    seen.filter(|seen| seen.breaker != Breaker::Closed).count() as i64
}

fn rates(seen: &Seen, at: usize, kind: Kind) -> Markup {
    let line = |class, value: fn(&Sample, usize) -> f64| Line {
        class,
        values: seen.samples.iter().map(|sample| sample.as_ref().map(|sample| value(sample, at))).collect(),
    };
    let lines = [line("accepted", |sample, at| sample.accepted[at]), line("ended", |sample, at| sample.ended[at])];
    html! {
        article.card {
            h3 { (kind.plural()) }
            p.numbers {
                span.accepted { (text::rate(recent(&lines[0]))) } small { " accepted/s" }
                span.ended { (text::rate(recent(&lines[1]))) } small { " ended/s" }
            }
            (plot::lines(&format!("{} per second", kind.plural()), room(seen), &lines))
        }
    }
}

fn lag(seen: &Seen, name: &str, value: fn(&Sample) -> f64) -> Markup {
    let values: Vec<_> = seen.samples.iter().map(|sample| sample.as_ref().map(value)).collect();
    let now = values.iter().rev().flatten().next().copied().unwrap_or_default();
    html! {
        article.card {
            h3 { (name) }
            p.numbers { span.late[now >= LATE_S] { (text::seconds(now)) } }
            (plot::lines(name, room(seen), &[Line { class: "lag", values }]))
        }
    }
}

/// A plot is drawn over what there is to see, and soon over all that is kept.
fn room(seen: &Seen) -> usize {
    seen.samples.len().clamp(ROOM / 5, ROOM)
}

fn recent(line: &Line<'_>) -> f64 {
    let known: Vec<f64> = line.values.iter().rev().take(RECENT).flatten().copied().collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

fn owed(owed: &[Owed]) -> Markup {
    let find = |kind: Kind, lane: Lane| owed.iter().find(|owed| owed.kind == kind.code() && owed.lane == lane.code());
    html! {
        table {
            (head(&["Kind", "What", "#Waiting", "#Due", "#Claimed", "#Oldest due"]))
            tbody {
                @for kind in Kind::ALL {
                    @for (lane, name) in [(Lane::Run, "run"), (Lane::Tell, "callback")] {
                        @let owed = find(kind, lane).copied().unwrap_or_default();
                        tr {
                            td { (kind.plural()) }
                            td { (name) }
                            (count(owed.waiting)) (count(owed.due)) (count(owed.claimed))
                            td.number { span.late[owed.oldest_due_s >= LATE_S] { (text::seconds(owed.oldest_due_s)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What is not there is not looked at.
fn count(number: i64) -> Markup {
    html! { td.number { span.dim[number == 0] { (text::count(number)) } } }
}

fn depths(queues: &[Depth]) -> Markup {
    html! {
        table {
            (head(&["Queue", "#Waiting", "#In flight", "#Delayed"]))
            tbody {
                @for queue in queues {
                    tr {
                        td { (queue.name) }
                        @match queue.counts {
                            Some(counts) => {
                                (count(counts.waiting as i64))
                                (count(counts.in_flight as i64))
                                (count(counts.delayed as i64))
                            }
                            None => td.number colspan="3" { (pill(Tone::Warn, "SQS did not say")) },
                        }
                    }
                }
            }
        }
    }
}

fn partners(workers: &[Listed]) -> Markup {
    let mut by_name: BTreeMap<&str, Vec<(Breaker, u32)>> = BTreeMap::new();
    for (name, seen) in workers.iter().filter_map(|worker| worker.partners.as_ref()).flatten() {
        by_name.entry(name).or_default().push((seen.breaker, seen.under_way));
    }
    html! {
        @if by_name.is_empty() { p.dim { "No worker speaks of any." } }
        @else {
            table {
                (head(&["Partner", "Breakers", "#Under way"]))
                tbody {
                    @for (name, seen) in by_name {
                        tr {
                            td { (name) }
                            td {
                                @for state in [Breaker::Open, Breaker::Probing, Breaker::Closed] {
                                    @let count = seen.iter().filter(|(breaker, _)| *breaker == state).count();
                                    @if count > 0 {
                                        span.part { (breaker(state)) @if count > 1 { span.dim { " ×" (count) } } }
                                    }
                                }
                            }
                            td.number { (seen.iter().map(|(_, under_way)| under_way).sum::<u32>()) }
                        }
                    }
                }
            }
        }
    }
}

fn workers(workers: &[Listed]) -> Markup {
    html! {
        @if workers.is_empty() { p.dim { "None has registered." } }
        @else {
            table {
                (head(&["Worker", "Since", "#Last heard of"]))
                tbody {
                    @for worker in workers {
                        tr {
                            td { (worker.name) " " span.dim { (worker.id.0) } }
                            td { (text::time(worker.started_at)) }
                            td.number {
                                span.late[worker.silent_s >= SILENT_S] { (text::seconds(worker.silent_s.max(0.0))) " ago" }
                            }
                        }
                    }
                }
            }
        }
    }
}
