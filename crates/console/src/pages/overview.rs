//! What goes on, at one look.

use super::overview_view;
use crate::fields::Fields;
use crate::layout::{self, Frame, Refresh, Tab};
use crate::session::{Glance, Session};
use crate::state::Console;
use axum::extract::State;
use axum::response::Html;
use maud::html;

/// Without a script.
const REFRESH_S: u32 = 15;

pub(crate) async fn page(State(console): State<Console>, session: Session, query: Fields) -> Html<String> {
    let body = html! {
        div data-live="/console/overview" { (overview_view::overview(&console.samples.seen(), &console.queues.seen())) }
    };
    let frame = Frame {
        title: "Overview",
        tab: Tab::Overview,
        session: &session,
        query: &query,
        refresh: Refresh::WithoutScript(REFRESH_S),
    };
    layout::page(&frame, &body)
}

/// What the script puts in the place of the one before.
pub(crate) async fn fragment(State(console): State<Console>, _signed_in: Glance) -> Html<String> {
    Html(overview_view::overview(&console.samples.seen(), &console.queues.seen()).into_string())
}
