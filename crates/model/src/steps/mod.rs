//! What can happen next. Each step names itself, so that a way to a breach reads as a story.

mod outside;
mod worker;

use crate::guards::Guards;
use crate::state::{At, Breach, Faults, Row, State, Worker};
use std::fmt;

/// Messages in the queues at once.
const MOST_MESSAGES: u8 = 2;

#[derive(Clone, Debug)]
pub struct Protocol {
    pub guards: Guards,
    pub faults: Faults,
}

/// Who does what; the worker is 0 where it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    worker: u8,
    what: &'static str,
}

impl From<&'static str> for Label {
    fn from(what: &'static str) -> Self {
        Self { worker: 0, what }
    }
}

impl From<(u8, &'static str)> for Label {
    fn from((worker, what): (u8, &'static str)) -> Self {
        Self { worker, what }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    pub what: Label,
    /// Nobody may rely on it not happening, nor on its happening.
    pub is_fault: bool,
    /// It takes a quarter of an hour.
    pub is_far: bool,
    pub next: State,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Label { worker, what } = self.what;
        let fault = if self.is_fault { "FAULT " } else { "" };
        match worker {
            0 => write!(f, "{fault}{what}"),
            worker => write!(f, "{fault}worker {worker} {what}"),
        }
    }
}

/// Collects the steps from one state.
struct Steps<'a> {
    protocol: &'a Protocol,
    from: &'a State,
    steps: Vec<Step>,
}

impl Protocol {
    pub fn steps(&self, from: &State) -> Vec<Step> {
        let mut steps = Steps { protocol: self, from, steps: Vec::new() };
        steps.accept();
        steps.time();
        steps.relay();
        steps.partner();
        steps.client();
        for number in [1, 2] {
            steps.worker(number);
        }
        steps.steps
    }
}

impl Steps<'_> {
    const fn guards(&self) -> &Guards {
        &self.protocol.guards
    }

    fn add(&mut self, what: impl Into<Label>, next: State) {
        self.push(what, false, false, next);
    }

    fn fault(&mut self, what: impl Into<Label>, next: State) {
        self.push(what, true, false, next);
    }

    fn push(&mut self, what: impl Into<Label>, is_fault: bool, is_far: bool, mut next: State) {
        if let Some(breach) = two_holders(&next) {
            next.breach = next.breach.or(Some(breach));
        }
        if self.guards().tokens_are_unique {
            rename_tokens(&mut next);
        }
        self.steps.push(Step { what: what.into(), is_fault, is_far, next });
    }

    /// The state with this row, and the one before it if a failover could lose the difference.
    fn with_row(&self, row: Row) -> State {
        let mut next = self.from.clone();
        next.before = if next.faults.failover > 0 { next.row } else { None };
        next.row = Some(row);
        next
    }

    fn has_room(&self) -> bool {
        self.from.in_queue() < MOST_MESSAGES
    }
}

/// Two who both pass the fence.
fn two_holders(state: &State) -> Option<Breach> {
    let row = state.row.filter(Row::is_open)?;
    let carries = |worker: &Worker| {
        !matches!(worker.at, At::Received(_) | At::DeletedTooSoon | At::Telling | At::Heard | At::OwingCallback)
    };
    let passes = |worker: &Option<Worker>| worker.filter(carries).is_some_and(|worker| worker.token == row.token);
    (row.owner > 0 && state.workers.iter().all(passes)).then_some(Breach::TwoHolders)
}

/// Forgets what cannot matter: how large tokens are. Only which are the same does.
fn rename_tokens(state: &mut State) {
    let mut names = vec![0];
    let mut rename = |token: &mut u8| {
        let at = names.iter().position(|known| known == token).unwrap_or_else(|| {
            names.push(*token);
            names.len() - 1
        });
        *token = at as u8;
    };
    state.row.iter_mut().for_each(|row| rename(&mut row.token));
    state.before.iter_mut().for_each(|row| rename(&mut row.token));
    state.workers.iter_mut().flatten().for_each(|worker| rename(&mut worker.token));
    state.tokens = names.len() as u8;
}
