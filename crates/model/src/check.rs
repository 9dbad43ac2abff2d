//! The search.

use crate::state::{Breach, State};
use crate::steps::{Protocol, Step};
use stateright::{Checker as _, Model, Property, StateRecorder};
use std::collections::HashMap;

/// What the search found first of each.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub states: usize,
    /// The way to a breach, step by step.
    pub breach: Option<(Breach, Vec<String>)>,
    /// An accepted command from which no way without further faults leads to an end that the client was told.
    pub lost: Option<State>,
    /// Only a timer of 15 minutes is left, although something could be done.
    pub stalled: Option<State>,
}

impl Found {
    pub fn is_nothing(&self) -> bool {
        self.breach.is_none() && self.lost.is_none() && self.stalled.is_none()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.faults)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // What follows a breach adds nothing.
        if state.breach.is_none() {
            steps.extend(self.steps(state));
        }
    }

    fn next_state(&self, _state: &State, step: Step) -> Option<State> {
        Some(step.next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("nothing is breached", |_, state: &State| state.breach.is_none())]
    }
}

/// Looks at every state that can be reached.
pub fn check(protocol: &Protocol) -> Found {
    let (recorder, states) = StateRecorder::new_with_accessor();
    let checker = protocol.clone().checker().threads(2).visitor(recorder).spawn_bfs().join();
    let breach = checker.discovery("nothing is breached").and_then(|path| {
        let breach = path.last_state().breach?;
        Some((breach, path.into_actions().into_iter().map(|step| format!("{step:?}")).collect()))
    });
    let states = states();
    let mut found = Found { states: states.len(), breach, ..Found::default() };
    if found.breach.is_none() {
        found.stalled = states.iter().find(|state| is_stalled(protocol, state)).cloned();
        found.lost = lost(protocol, &states);
    }
    found
}

/// The mark of a message that came to nothing, after a failover or in the dead-letter queue, may stand: that is accepted, it
/// is over in 30 s.
fn is_stalled(protocol: &Protocol, state: &State) -> bool {
    let (left, all) = (state.faults, protocol.faults);
    if state.is_over() || left.failover < all.failover || left.dead_letter < all.dead_letter {
        return false;
    }
    let steps = protocol.steps(state);
    let mut free = steps.iter().filter(|step| !step.is_fault && !step.is_far);
    free.next().is_none() && steps.iter().any(|step| step.is_far)
}

/// Backwards from every end, over steps that are no faults: what is not reached is lost.
fn lost(protocol: &Protocol, states: &[State]) -> Option<State> {
    let index: HashMap<&State, usize> = states.iter().enumerate().map(|(at, state)| (state, at)).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    for (at, state) in states.iter().enumerate() {
        for step in protocol.steps(state).iter().filter(|step| !step.is_fault) {
            if let Some(next) = index.get(&step.next) {
                before[*next].push(at);
            }
        }
    }
    let mut reaches: Vec<bool> = states.iter().map(State::is_over).collect();
    let mut left: Vec<usize> = (0..states.len()).filter(|at| reaches[*at]).collect();
    while let Some(at) = left.pop() {
        for earlier in &before[at] {
            if !std::mem::replace(&mut reaches[*earlier], true) {
                left.push(*earlier);
            }
        }
    }
    states.iter().zip(reaches).find(|(_, reaches)| !reaches).map(|(state, _)| state.clone())
}
