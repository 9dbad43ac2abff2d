//! Everything that happens around the workers: acceptance, time, the relay, the partner, the client, SQS.

use super::Steps;
use crate::state::{Api, At, Breach, Due, End, Faults, Partner, Row, State, Tell};

impl Steps<'_> {
    pub(super) fn accept(&mut self) {
        let from = self.from.clone();
        match from.api {
            Api::Idle => {
                let next = State { api: Api::Committed, accepted: true, ..self.with_row(Row::FRESH) };
                self.add("api: row and wakeup committed, 202", next);
                if from.faults.outage > 0 {
                    let faults = Faults { outage: from.faults.outage - 1, ..from.faults };
                    let journal = State { api: Api::Done, accepted: true, journal: from.journal + 1, faults, ..from };
                    self.fault("api: Postgres is down, the journal takes it, 202", journal.clone());
                    let both = State {
                        journal: journal.journal,
                        api: Api::Done,
                        accepted: true,
                        faults,
                        ..self.with_row(Row::FRESH)
                    };
                    self.fault("api: committed, but the answer was lost: the journal takes it too, 202", both);
                }
            }
            Api::Committed => {
                if self.has_room() {
                    self.add(
                        "api: first message sent",
                        State { api: Api::Sent, first: from.first + 1, ..from.clone() },
                    );
                }
                self.api_dies("api: dies before it sends");
            }
            Api::Sent => {
                self.mark();
                self.api_dies("api: dies before it marks");
            }
            Api::Done => {}
        }
    }

    fn api_dies(&mut self, when: &'static str) {
        let from = self.from;
        if from.faults.crash > 0 {
            let faults = Faults { crash: from.faults.crash - 1, ..from.faults };
            self.fault(when, State { api: Api::Done, faults, ..from.clone() });
        }
    }

    /// Late, and only if nothing has happened to the row.
    fn mark(&mut self) {
        let done = State { api: Api::Done, ..self.from.clone() };
        match self.from.row {
            Some(row) if row.is_open() && (!self.guards().mark_compares || !row.touched && row.owner == 0) => {
                let next = self.with_row(Row { due: Due::Far, ..row });
                self.add("api: marked as published, due is far", State { api: Api::Done, ..next });
            }
            _ => self.add("api: the mark finds nothing", done),
        }
    }

    pub(super) fn time(&mut self) {
        let from = self.from;
        if let Tell::Claimed(worker) = from.tell
            && !from.workers[usize::from(worker) - 1].is_some_and(|worker| matches!(worker.at, At::Telling | At::Heard))
        {
            self.add("time: the lease of an absent teller ends", State { tell: Tell::Due, ..from.clone() });
        }
        let Some(row) = from.row.filter(Row::is_open) else { return };
        if row.owner == 0 {
            let due = |due| State { row: Some(Row { due, waits: false, ..row }), ..from.clone() };
            match row.due {
                Due::Soon => self.add("time: the short timer fires", due(Due::Now)),
                Due::Far => self.push("time: the far timer fires", false, true, due(Due::Now)),
                Due::Now => {}
            }
            return;
        }
        if self.is_expired(&row) {
            return;
        }
        let over =
            if self.guards().lease_is_apart { Row { lease_over: true, ..row } } else { Row { due: Due::Now, ..row } };
        let next = State { row: Some(over), ..from.clone() };
        if !from.holds(row.owner) {
            if !row.orphan || self.guards().claim_has_deadline {
                self.add("time: the lease of an absent holder ends", next);
            }
        } else if from.faults.false_alarm > 0 {
            let faults = Faults { false_alarm: from.faults.false_alarm - 1, ..from.faults };
            self.fault("the lease of a living holder ends", State { faults, ..next });
        }
    }

    pub(super) fn is_expired(&self, row: &Row) -> bool {
        if self.guards().lease_is_apart { row.lease_over } else { row.due == Due::Now }
    }

    pub(super) fn relay(&mut self) {
        let from = self.from;
        if from.relay_sends {
            if self.has_room() {
                self.add("relay: sends", State { relay_sends: false, nudges: from.nudges + 1, ..from.clone() });
            }
            if from.faults.crash > 0 {
                let faults = Faults { crash: from.faults.crash - 1, ..from.faults };
                self.fault("relay dies before it sends", State { relay_sends: false, faults, ..from.clone() });
            }
            return;
        }
        let Some(row) = from.row.filter(Row::is_open) else { return };
        let free = row.due == Due::Now && (row.owner == 0 || !self.guards().lease_is_apart);
        let lapsed = self.guards().lease_is_apart && row.owner > 0 && row.lease_over;
        if free || lapsed {
            let due = if self.guards().relay_puts_off_shortly { Due::Soon } else { Due::Far };
            let freed = if row.owner > 0 {
                Row { owner: 0, lease_over: false, dirty: true, orphan: false, ..row }
            } else {
                row
            };
            let next = self.with_row(Row { due, touched: true, ..freed });
            self.add("relay: takes the due row", State { relay_sends: true, ..next });
        }
    }

    pub(super) fn partner(&mut self) {
        let from = self.from;
        if from.partner == Partner::Pending {
            self.add("partner: completes", State { partner: Partner::Completed, ..from.clone() });
        }
        if from.late {
            let next = State { late: false, ..self.created(from.clone()) };
            self.add("partner: the late request lands", next);
        }
        if from.partner == Partner::Completed && from.hook_left {
            self.add("webhook: stored, the row is nudged", self.nudged());
        }
        if from.hook_to_publish {
            if self.has_room() {
                let next = State { hook_to_publish: false, nudges: from.nudges + 1, ..from.clone() };
                self.add("webhook: its message is sent", next);
            }
            if from.faults.crash > 0 {
                let faults = Faults { crash: from.faults.crash - 1, ..from.faults };
                self.fault(
                    "api dies before it sends the nudge",
                    State { hook_to_publish: false, faults, ..from.clone() },
                );
            }
        }
    }

    fn nudged(&self) -> State {
        let stored = State { hook_left: false, hook_stored: true, ..self.from.clone() };
        let Some(row) = self.from.row.filter(Row::is_open) else { return stored };
        let mut nudged = Row { nudge: (row.nudge + 1).min(2), touched: true, ..row };
        if row.owner == 0 || !self.guards().lease_is_apart {
            nudged = Row { due: Due::Now, waits: false, ..nudged };
        }
        State { hook_left: false, hook_stored: true, hook_to_publish: true, ..self.with_row(nudged) }
    }

    /// One creation has arrived.
    pub(super) fn created(&self, mut state: State) -> State {
        state.effects = if self.guards().partner_knows_keys { 1 } else { state.effects + 1 };
        if state.partner == Partner::Nothing {
            state.partner = Partner::Pending;
        }
        if state.effects > 1 {
            state.breach = state.breach.or(Some(Breach::Doubled));
        }
        let late = match state.row.map(|row| row.end) {
            Some(End::Cancelled) => Some(Breach::CancelledYetCreated),
            Some(End::Failed) => Some(Breach::FailedYetCreated),
            Some(End::Open | End::Completed) | None => None,
        };
        state.breach = state.breach.or(late);
        state
    }

    pub(super) fn client(&mut self) {
        let from = self.from;
        if let Some(row) = from.row.filter(|row| row.is_open() && !row.submitted)
            && from.faults.cancel > 0
        {
            let faults = Faults { cancel: from.faults.cancel - 1, ..from.faults };
            if !self.guards().cancel_needs_unclaimed || row.owner == 0 && !row.dirty {
                let ended =
                    Row { end: End::Cancelled, owner: 0, token: row.token.wrapping_add(100), touched: true, ..row };
                let mut next = State { faults, tell: Tell::Due, ..self.with_row(ended) };
                if next.effects > 0 || next.late {
                    next.breach = Some(Breach::CancelledYetCreated);
                }
                self.add("client: cancels, 200", next);
            } else {
                self.add("client: cancels, 409", State { faults, ..from.clone() });
            }
        }
        if from.faults.failover > 0 && from.row.is_some() {
            let faults = Faults { failover: 0, ..from.faults };
            let tell = if from.before.is_none_or(|row| row.is_open()) { Tell::None } else { from.tell };
            self.fault(
                "failover loses the last commit",
                State { row: from.before, before: None, tell, faults, ..from.clone() },
            );
        }
        if from.faults.dead_letter > 0 && from.first > 0 {
            let faults = Faults { dead_letter: from.faults.dead_letter - 1, ..from.faults };
            let next = State { first: from.first - 1, dead: from.dead + 1, faults, ..from.clone() };
            self.fault("sqs: the first message was received too often", next);
        }
    }
}
