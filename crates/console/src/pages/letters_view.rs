//! How dead letters look.

use super::dead_letters::link;
use crate::layout::{Tone, command, csrf, head, pill, why};
use crate::redrives::{DEFAULT_RATE, End, MAX_RATE, MOST, Progress};
use crate::session::Session;
use crate::text;
use chrono::{DateTime, Utc};
use holdfast_store::dead_letters::Kept;
use holdfast_store::letter_groups::{Counted, Group};
use maud::{Markup, html};

/// What would become of a letter: where it would go, or why it would stay.
pub(super) struct Planned {
    pub(super) letter: Kept,
    pub(super) fate: Result<String, String>,
}

pub(super) struct Plan {
    pub(super) group: Group,
    pub(super) force: bool,
    pub(super) rate: u32,
    pub(super) letters: Vec<Planned>,
}

/// Rows of a dry run that are shown; all of them are counted.
const SHOWN: usize = 100;

pub(super) fn groups(groups: &[Counted], redrives: &[Progress], now: DateTime<Utc>) -> Markup {
    html! {
        div.title { h1 { "Dead letters" } span.dim { "by cause, the largest groups first" } }
        @if groups.is_empty() { p.empty { "There are none that nobody has settled." } }
        @else {
            table.rows {
                (head(&["Cause", "Queue", "Kind", "#Letters", "#Oldest age", "#Youngest age"]))
                tbody {
                    @for counted in groups {
                        tr {
                            td { a href=(link("group", &counted.group, &[])) { (text::short(&counted.group.cause, 120)) } }
                            td { (counted.group.queue) }
                            td { @if let Some(kind) = counted.kind { (kind) } @else { span.dim { "unknown" } } }
                            td.number { (text::count(counted.count)) }
                            td.number { (text::ago(counted.oldest, now)) }
                            td.number { (text::ago(counted.youngest, now)) }
                        }
                    }
                }
            }
        }
        @if !redrives.is_empty() {
            section {
                h2 { "Redrives of this process" }
                table {
                    (head(&["Redrive", "Cause", "By", "Why", "#Sent", "State"]))
                    tbody {
                        @for progress in redrives {
                            tr {
                                td { a href={ "/console/redrives/" (progress.no) } { "no " (progress.no) } }
                                td { (text::short(&progress.wanted.group.cause, 60)) }
                                td { (progress.wanted.by) }
                                td.detail { (text::short(&progress.wanted.why, 100)) }
                                td.number { (progress.sent) " of " (progress.total) }
                                td { (state(progress)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn group(group: &Group, letters: &[Kept], next: Option<&str>, now: DateTime<Utc>) -> Markup {
    html! {
        div.title { h1 { (text::short(&group.cause, 120)) } span.dim { (group.queue) } }
        @if letters.is_empty() { p.empty { "All of them are settled." } }
        @else {
            form.line.filter method="get" action="/console/dead-letters/plan" {
                (same(group))
                label { "Letters a second " input type="number" name="rate" min="1" max=(MAX_RATE) value=(DEFAULT_RATE); }
                label { input type="checkbox" name="force" value="yes"; " those too that came back three times" }
                button.primary type="submit" { "Dry run of a redrive" }
            }
            table.rows {
                (head(&["#No", "Command", "#Received", "#Redriven", "#Age", "Message"]))
                tbody {
                    @for letter in letters {
                        tr {
                            td.number { (letter.no) }
                            td { (about(letter)) }
                            td.number { (letter.receive_count) "×" }
                            td.number { (letter.redrives) "×" }
                            td.number { (text::ago(letter.received_at, now)) }
                            // Bodies carry what clients sent: their size says enough here, `holdfast dlq show` the rest.
                            td.dim { (text::count(letter.body.len() as i64)) " bytes" }
                        }
                    }
                }
            }
            @if let Some(next) = next { p { a.next href=(next) { "Next page" } } }
        }
    }
}

pub(super) fn plan(plan: &Plan, session: &Session) -> Markup {
    let go = plan.letters.iter().filter(|planned| planned.fate.is_ok()).count();
    let stay = plan.letters.len() - go;
    let upto = plan.letters.last().map_or(0, |planned| planned.letter.no);
    html! {
        div.title { h1 { "Dry run" } span.dim { (text::short(&plan.group.cause, 120)) } }
        p.summary {
            strong { (go) } " would be sent again, at " (plan.rate) " a second: about "
            (text::seconds(go as f64 / f64::from(plan.rate))) ". "
            strong { (stay) } " would be left. Nothing was changed so far."
            @if plan.letters.len() as i64 >= MOST { " These are the oldest " (MOST) "; the next redrive takes others." }
        }
        @if go > 0 {
            form.line.acts method="post" action="/console/dead-letters/redrive" {
                (csrf(session)) (same(&plan.group))
                input type="hidden" name="upto" value=(upto);
                input type="hidden" name="rate" value=(plan.rate);
                @if plan.force { input type="hidden" name="force" value="yes"; }
                (why())
                button.primary type="submit" { "Redrive " (go) }
                a href=(link("group", &plan.group, &[])) { "Not now" }
            }
        }
        table {
            (head(&["#No", "Command", "#Redriven", "What would be done"]))
            tbody {
                @for planned in plan.letters.iter().take(SHOWN) {
                    tr {
                        td.number { (planned.letter.no) }
                        td { (about(&planned.letter)) }
                        td.number { (planned.letter.redrives) "×" }
                        td {
                            @match &planned.fate {
                                Ok(queue) => { (pill(Tone::Good, "send")) " to " (queue) }
                                Err(why) => { (pill(Tone::Warn, "leave")) " " (why) }
                            }
                        }
                    }
                }
            }
        }
        @if plan.letters.len() > SHOWN { p.dim { "The first " (SHOWN) " of " (plan.letters.len()) " are shown." } }
    }
}

pub(super) fn progress(progress: &Progress) -> Markup {
    let handled = progress.sent + progress.left + progress.gone;
    html! {
        div.title { h1 { "Redrive no " (progress.no) } (state(progress)) }
        section {
            progress.redrive max=(progress.total.max(1)) value=(handled) { (handled) " of " (progress.total) }
            dl.facts {
                dt { "sent" } dd { strong #sent { (progress.sent) } " of " (progress.total) }
                dt { "left" } dd { (progress.left) " that would loop, or whose queue is not known" }
                dt { "gone" } dd { (progress.gone) " that somebody else has settled meanwhile" }
                dt { "cause" } dd { (text::short(&progress.wanted.group.cause, 200)) }
                dt { "queue" } dd { (progress.wanted.group.queue) }
                dt { "by" } dd { (progress.wanted.by) }
                dt { "why" } dd { (progress.wanted.why) }
                @if let Some(End::Failed(why)) = &progress.end {
                    dt { "ended early" } dd { (why) ". What was not sent is still among the dead letters." }
                }
            }
        }
        p.below { a href="/console/dead-letters" { "To the dead letters" } }
    }
}

fn state(progress: &Progress) -> Markup {
    match progress.end {
        None => pill(Tone::Busy, "under way"),
        Some(End::Done) => pill(Tone::Good, "done"),
        Some(End::Failed(_)) => pill(Tone::Bad, "ended early"),
    }
}

fn same(group: &Group) -> Markup {
    html! {
        input type="hidden" name="queue" value=(group.queue);
        input type="hidden" name="cause" value=(group.cause);
    }
}

fn about(letter: &Kept) -> Markup {
    html! {
        @match letter.command {
            Some(id) => (command(id)),
            None => span.dim { "none that can be read" },
        }
    }
}
