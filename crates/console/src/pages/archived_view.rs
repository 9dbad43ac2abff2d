//! How a command looks of which only its tombstone is left.

use super::command_view::status_pill;
use crate::text;
use holdfast_domain::Tombstone;
use holdfast_store::commands::Existing;
use maud::{Markup, html};

pub(super) fn page(existing: &Existing, client: Option<&str>, tombstone: &Tombstone) -> Markup {
    html! {
        div.title {
            h1 { (existing.kind) " " span.key { (existing.key) } }
            (status_pill(existing.status))
            span.dim { "archived" }
        }
        p.id { code { (existing.id) } }
        p { "It ended so long ago that its content, its timeline and its callbacks are no longer kept." }
        section {
            h2 { "What is left" }
            dl.facts {
                dt { "client" }
                dd { (client.unwrap_or("unknown")) " " span.dim { "no " (existing.client.0) } }
                dt { "accepted" } dd { (text::time(existing.created_at)) }
                dt { "ended" } dd { (text::time(tombstone.finished_at)) }
                dt { "archived" } dd { (text::time(tombstone.archived_at)) }
            }
        }
    }
}
