//! One file per page, or per pages about one thing. Each is read from top to bottom: what is asked for, then how it looks.

mod archived_view;
pub(crate) mod attention;
pub(crate) mod callbacks;
mod command_view;
pub(crate) mod commands;
pub(crate) mod content;
pub(crate) mod dead_letters;
pub(crate) mod events;
mod letters_view;
pub(crate) mod overview;
mod overview_view;
pub(crate) mod partners;
pub(crate) mod search;

/// Rows of a list.
const PAGE: i64 = 50;

/// One more than is shown tells whether there are more: what is shown, and the last of it if more follow.
fn page_of<T: Clone>(mut rows: Vec<T>) -> (Vec<T>, Option<T>) {
    let more = rows.len() as i64 > PAGE;
    rows.truncate(PAGE as usize);
    let last = rows.last().filter(|_| more).cloned();
    (rows, last)
}
