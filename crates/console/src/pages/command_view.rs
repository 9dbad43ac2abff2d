//! How a command looks.

use super::content;
use crate::layout::{Tone, csrf, head, pill, why};
use crate::session::Session;
use crate::text;
use crate::timeline::{self, Row, Shape, Source, of_status};
use chrono::{DateTime, Utc};
use holdfast_app::callbacks::{Callback, State};
use holdfast_app::query::View;
use holdfast_domain::Status;
use holdfast_domain::progress::PartnerState;
use holdfast_domain::resource::PartnerView;
use holdfast_domain::trail::Entry;
use holdfast_store::callback_resends::Resend;
use holdfast_store::commands::Existing;
use holdfast_store::wakeups::Standing;
use maud::{Markup, html};

/// Attempts of a callback that are shown: the last ones.
const ATTEMPTS: usize = 20;

pub(super) struct Known {
    pub(super) existing: Existing,
    pub(super) view: View,
    /// The name of whose it is.
    pub(super) client: Option<String>,
    pub(super) callbacks: Vec<Callback>,
    pub(super) entries: Vec<Entry>,
    pub(super) resends: Vec<Resend>,
    pub(super) standing: Vec<Standing>,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn page(known: &Known, session: &Session) -> Markup {
    let resource = &known.view.resource;
    let status = known.view.version.status;
    let source = Source {
        accepted_at: resource.created_at,
        now: known.now,
        entries: &known.entries,
        resends: &known.resends,
        standing: &known.standing,
    };
    let (rows, left_out) = timeline::shorten(timeline::read(&source));
    html! {
        div.title {
            h1 { (resource.kind) " " span.key { (known.existing.key) } }
            (status_pill(status))
            @if let Some(step) = resource.step { span.dim { "at step " (step.name()) } }
        }
        p.id { code { (resource.id) } }
        @if let Some(reason) = &resource.reason {
            p.reason { (pill(of_status(status), &reason.code)) " " (reason.detail) }
        }
        @if status == Status::NeedsAttention { (acts(known, session)) }
        section {
            h2 { "Timeline" }
            (timeline::draw(&rows))
            (steps(&rows, left_out, resource.created_at))
        }
        div.columns {
            section { h2 { "What was asked for" } (facts(known)) }
            section { h2 { "Partners" } (partners(&resource.partners)) }
        }
        section #callbacks { h2 { "Callbacks" } (callbacks(known, session)) }
    }
}

pub(super) fn status_pill(status: Status) -> Markup {
    pill(of_status(status), &status.name().replace('_', " "))
}

fn acts(known: &Known, session: &Session) -> Markup {
    let base = format!("/console/commands/{}", known.existing.id);
    html! {
        section.acts #acts {
            form method="post" action={ (base) "/retry" } {
                (csrf(session))
                h2 { "Carry on" }
                p.dim { "Whoever was not done with it is asked what stands there before anything is created again." }
                div.line { (why()) button.primary type="submit" { "Retry" } }
            }
            form method="post" action={ (base) "/resolve" } {
                (csrf(session))
                input type="hidden" name="sequence" value=(known.view.version.sequence);
                h2 { "Or end it" }
                p.dim { "Because you have found out how it ended. Its client is told." }
                fieldset {
                    label { input type="radio" name="end" value="completed" required; " it was completed" }
                    label { input type="radio" name="end" value="failed" required; " it failed" }
                    label { input type="checkbox" name="undone" value="yes"; " what partners had done was undone" }
                }
                div.line { (why()) button type="submit" { "Resolve" } }
            }
        }
    }
}

fn steps(rows: &[Row], left_out: usize, start: DateTime<Utc>) -> Markup {
    html! {
        table.steps {
            (head(&["#After", "Who", "What", "Outcome", "#Took", "Detail"]))
            tbody {
                @for row in rows {
                    tr class=[class(row)] {
                        td.number title=(row.from.to_rfc3339()) { "+" (text::between(start, row.from)) }
                        td { (row.lane.name()) }
                        td {
                            (row.what)
                            @if row.times > 1 { span.dim { " ×" (row.times) } }
                        }
                        td { @if let Some((tone, outcome)) = &row.outcome { (pill(*tone, outcome)) } }
                        td.number { @if row.to > row.from { (text::between(row.from, row.to)) } }
                        td.detail { @if let Some(detail) = &row.detail { (text::short(detail, 300)) } }
                    }
                }
            }
        }
        @if left_out > 0 { p.dim { (left_out) " rows in the middle are not shown." } }
    }
}

const fn class(row: &Row) -> Option<&'static str> {
    match (row.is_expected, row.shape) {
        (true, _) => Some("expected"),
        (false, Shape::Wait) => Some("waits"),
        (false, Shape::Act) => None,
    }
}

fn facts(known: &Known) -> Markup {
    let resource = &known.view.resource;
    html! {
        dl.facts {
            @for (name, value) in content::fields(&resource.content) {
                dt { (name) }
                dd { @if value.contains('\n') { pre { (value) } } @else { (value) } }
            }
            dt { "client" }
            dd { (known.client.as_deref().unwrap_or("unknown")) " " span.dim { "no " (known.existing.client.0) } }
            dt { "accepted" } dd { (text::time(resource.created_at)) }
            @if let Some(at) = resource.finished_at { dt { "ended" } dd { (text::time(at)) } }
            @if let Some(other) = resource.conflicts_with {
                dt { "conflicts with" } dd { a href={ "/console/commands/" (other) } { (other) } }
            }
        }
    }
}

fn partners(partners: &[PartnerView]) -> Markup {
    html! {
        @if partners.is_empty() { p.dim { "None was asked." } }
        @else {
            table {
                (head(&["Partner", "State", "#Creations", "Its id", "Detail"]))
                tbody {
                    @for partner in partners {
                        tr {
                            td { (partner.partner) }
                            td { (state_pill(partner.state)) }
                            td.number { (partner.tries) }
                            td { code { (partner.external_id.as_deref().unwrap_or_default()) } }
                            td.detail { (text::short(partner.detail.as_deref().unwrap_or_default(), 300)) }
                        }
                    }
                }
            }
        }
    }
}

fn state_pill(state: PartnerState) -> Markup {
    match state {
        PartnerState::Open => pill(Tone::Plain, "nothing there"),
        PartnerState::Unknown => pill(Tone::Warn, "unknown"),
        PartnerState::Accepted => pill(Tone::Busy, "accepted"),
        PartnerState::Completed => pill(Tone::Good, "completed"),
        PartnerState::Failed => pill(Tone::Bad, "failed"),
        PartnerState::Rejected => pill(Tone::Bad, "rejected"),
    }
}

fn callbacks(known: &Known, session: &Session) -> Markup {
    let last = known.callbacks.len().saturating_sub(1);
    html! {
        @if known.callbacks.is_empty() { p.dim { "Nothing was told, and nothing is owed." } }
        @for (at, callback) in known.callbacks.iter().enumerate() {
            article.callback {
                div.title {
                    h3 { (callback.kind) }
                    (told_pill(callback.state))
                    code.dim { (callback.id) }
                    @if let Some(next) = callback.next_attempt_at.filter(|next| *next > known.now) {
                        span.dim { "next attempt in " (text::between(known.now, next)) }
                    }
                }
                (attempts(callback))
                @if at == last && callback.state != State::Superseded {
                    form.line method="post" action={ "/console/commands/" (known.existing.id) "/resend" } {
                        (csrf(session))
                        input type="hidden" name="callback" value=(callback.id);
                        (why())
                        button type="submit" { "Send again" }
                    }
                }
            }
        }
    }
}

fn told_pill(state: State) -> Markup {
    match state {
        State::Owed => pill(Tone::Busy, "owed"),
        State::Delivered => pill(Tone::Good, "delivered"),
        State::GivenUp => pill(Tone::Bad, "given up"),
        State::Superseded => pill(Tone::Plain, "superseded"),
    }
}

fn attempts(callback: &Callback) -> Markup {
    let hidden = callback.attempts.len().saturating_sub(ATTEMPTS);
    html! {
        @if hidden > 0 { p.dim { (hidden) " earlier attempts are in the timeline." } }
        @if !callback.attempts.is_empty() {
            table {
                (head(&["#Attempt", "At", "Outcome", "#Status", "#Took", "Answer"]))
                tbody {
                    @for attempt in callback.attempts.iter().skip(hidden) {
                        tr {
                            td.number { (attempt.attempt) }
                            td { (text::time(attempt.at)) }
                            td { (attempt.answer.outcome) }
                            td.number { @if let Some(status) = attempt.answer.http_status { (status) } }
                            td.number { (text::millis(attempt.answer.took_ms)) }
                            td.detail {
                                (text::short(attempt.answer.detail.as_deref().unwrap_or_default(), 200))
                                (text::short(attempt.excerpt.as_deref().unwrap_or_default(), 200))
                            }
                        }
                    }
                }
            }
        }
    }
}
