//! The frame of every page.

use crate::assets::{SCRIPT_PATH, STYLE_PATH};
use crate::fields::Fields;
use crate::session::Session;
use axum::response::Html;
use holdfast_domain::CommandId;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A bolt that holds fast.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' \
                    height='16' rx='4' fill='%232f6f6a'/%3E%3Cpath d='M4 3v10M12 3v10M4 8h8' stroke='white' \
                    stroke-width='2.4' stroke-linecap='round'/%3E%3C/svg%3E";

/// Where the navigation leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Attention,
    DeadLetters,
    Callbacks,
    Events,
    Partners,
    Search,
}

impl Tab {
    const ALL: [Self; 7] = [
        Self::Overview,
        Self::Attention,
        Self::DeadLetters,
        Self::Callbacks,
        Self::Events,
        Self::Partners,
        Self::Search,
    ];

    /// Name, address, the key after `g`.
    const fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "/console", "o"),
            Self::Attention => ("Attention", "/console/attention", "a"),
            Self::DeadLetters => ("Dead letters", "/console/dead-letters", "d"),
            Self::Callbacks => ("Callbacks", "/console/callbacks", "c"),
            Self::Events => ("Events", "/console/events", "e"),
            Self::Partners => ("Partners", "/console/partners", "p"),
            Self::Search => ("Search", "/console/search", "s"),
        }
    }
}

/// What was done, said on the page that follows. Only words of ours can be said.
const DONE: [(&str, &str); 5] = [
    ("retried", "It carries on. The partner is asked what stands there before anything is created again."),
    ("some-retried", "They carry on, but for those that were no longer parked."),
    ("resolved", "It has ended as you said; its client is told."),
    ("resent", "The callback is owed once more, at once."),
    ("closed", "The item is closed."),
];

pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) tab: Tab,
    pub(crate) session: &'a Session,
    pub(crate) query: &'a Fields,
    pub(crate) refresh: Refresh,
}

/// Whether a browser asks for the page again, after so many seconds.
#[derive(Clone, Copy)]
pub(crate) enum Refresh {
    Never,
    Always(u32),
    /// With one, a part of the page is renewed.
    WithoutScript(u32),
}

/// A page for somebody who is signed in.
pub(crate) fn page(frame: &Frame<'_>, body: &Markup) -> Html<String> {
    let Frame { title, tab, session, query, refresh } = frame;
    let said = query.get("done").and_then(|done| DONE.into_iter().find(|(name, _)| *name == done));
    let body = html! {
        a.skip href="#main" { "To the content" }
        header {
            a.brand href="/console" { "Holdfast" }
            nav aria-label="Pages" {
                @for known in Tab::ALL {
                    @let (name, address, key) = known.describe();
                    a href=(address) data-key=(key) aria-current=[(known == *tab).then_some("page")] { (name) }
                }
            }
            form.find method="get" action="/console/search" role="search" {
                input type="search" name="q" placeholder="Id or client’s own id   /" aria-label="Search" data-search;
            }
            form.who method="post" action="/console/logout" {
                (csrf(session))
                span { (session.login) }
                button.quiet type="submit" { "Sign out" }
            }
        }
        main #main {
            @if let Some((_, sentence)) = said { p.notice role="status" { (sentence) } }
            (body)
        }
        (keys())
    };
    Html(document(title, *refresh, &body).into_string())
}

/// One for somebody who may not be.
pub(crate) fn bare(title: &str, body: &Markup) -> Html<String> {
    Html(document(title, Refresh::Never, &html! { main #main { (body) } }).into_string())
}

fn document(title: &str, refresh: Refresh, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @match refresh {
                    Refresh::Never => {}
                    Refresh::Always(s) => meta http-equiv="refresh" content=(s);,
                    Refresh::WithoutScript(s) => noscript { meta http-equiv="refresh" content=(s); },
                }
                title { (title) " · Holdfast" }
                // Quotes within are single ones.
                (PreEscaped(format!("<link rel=\"icon\" href=\"{ICON}\">")))
                link rel="stylesheet" href=(*STYLE_PATH);
                script src=(*SCRIPT_PATH) defer {}
            }
            body { (body) }
        }
    }
}

fn keys() -> Markup {
    let others = [
        ("/", "search"),
        ("j", "next row"),
        ("k", "previous row"),
        ("x", "tick the row"),
        ("Enter", "open the row"),
        ("?", "this"),
    ];
    html! {
        dialog #keys aria-label="Keys" {
            h2 { "Keys" }
            dl.keys {
                @for (key, meaning) in others { dt { kbd { (key) } } dd { (meaning) } }
                @for tab in Tab::ALL {
                    @let (name, _, key) = tab.describe();
                    dt { kbd { "g" } " " kbd { (key) } }
                    dd { (name) }
                }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// In every form that changes something.
pub(crate) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

/// Where an operator says why.
pub(crate) fn why() -> Markup {
    html! {
        input type="text" name="why" required minlength="3" maxlength="500" aria-label="Why"
            placeholder="Why? It is recorded with your login.";
    }
}

/// The names of columns; those of numbers begin with `#`.
pub(crate) fn head(names: &[&str]) -> Markup {
    html! {
        thead {
            tr {
                @for name in names {
                    @match name.strip_prefix('#') {
                        Some(name) => th.number { (name) },
                        None => th { (name) },
                    }
                }
            }
        }
    }
}

/// The way to a command.
pub(crate) fn command(id: CommandId) -> Markup {
    html! { a href={ "/console/commands/" (id) } { code { (id) } } }
}

/// The state of something, as a pill.
pub(crate) fn pill(tone: Tone, text: &str) -> Markup {
    html! { span class={ "pill " (tone.class()) } { (text) } }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Busy,
    Plain,
}

impl Tone {
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Busy => "busy",
            Self::Plain => "plain",
        }
    }
}
