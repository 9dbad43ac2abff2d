//! A worker: receives, claims, carries, tells.

use super::Steps;
use crate::state::{At, Breach, Due, End, Faults, Message, Partner, Row, State, Tell, Worker};

impl Steps<'_> {
    pub(super) fn worker(&mut self, number: u8) {
        let Some(worker) = self.from.workers[usize::from(number) - 1] else { return self.idle(number) };
        let from = self.from;
        if from.faults.crash > 0 {
            let faults = Faults { crash: from.faults.crash - 1, ..from.faults };
            let mut next = self.put(from.clone(), number, None);
            next.faults = faults;
            if let At::Received(message) = worker.at {
                give_back(&mut next, message);
            }
            self.fault((number, "is killed"), next);
        }
        match worker.at {
            At::Received(message) => self.received(number, message),
            At::DeletedTooSoon => self.materialise(number),
            At::Telling => self.tell(number, worker),
            At::Heard => self.told(number, worker),
            _ => self.carry(number, worker),
        }
    }

    fn put(&self, mut state: State, number: u8, worker: Option<Worker>) -> State {
        state.workers[usize::from(number) - 1] = worker;
        state
    }

    /// Receives, or finds a callback that is due.
    fn idle(&mut self, number: u8) {
        let from = self.from;
        for message in [Message::First, Message::Nudge, Message::Journal, Message::Dead] {
            let mut taken = from.clone();
            if !take(&mut taken, message) {
                continue;
            }
            if message == Message::Dead && !self.guards().dead_letters_are_drained {
                continue;
            }
            let received = Some(Worker {
                at: At::Received(message),
                token: 0,
                dirty: false,
                nudge: 0,
                heard: false,
                early: false,
            });
            self.add((number, receives(message)), self.put(taken, number, received));
            if from.faults.duplicate > 0 && matches!(message, Message::First | Message::Nudge) {
                let faults = Faults { duplicate: from.faults.duplicate - 1, ..from.faults };
                let next = State { faults, ..self.put(from.clone(), number, received) };
                self.fault((number, "receives a message that stays in the queue too"), next);
            }
        }
        if from.tell == Tell::Due {
            let telling = Worker { at: At::Telling, token: 0, dirty: false, nudge: 0, heard: false, early: false };
            let next = State { tell: Tell::Claimed(number), ..self.put(from.clone(), number, Some(telling)) };
            self.add((number, "claims the callback"), next);
        }
    }

    fn received(&mut self, number: u8, message: Message) {
        match self.from.row {
            None if message == Message::Nudge
                || message == Message::First && !self.guards().missing_row_is_put_back =>
            {
                self.add((number, "no row, deletes the message"), self.put(self.from.clone(), number, None));
            }
            None if message == Message::Journal && !self.guards().journal_waits_for_row => {
                let deleted =
                    Worker { at: At::DeletedTooSoon, token: 0, dirty: false, nudge: 0, heard: false, early: false };
                let next = self.put(self.from.clone(), number, Some(deleted));
                self.add((number, "deletes the journal entry"), next);
            }
            None => self.materialise(number),
            Some(row) if row.is_open() && matches!(message, Message::First | Message::Nudge) => self.claim(number, row),
            // To store the letter is a commit, too: a failover loses that one first.
            Some(row) if message == Message::Dead => {
                let next = self.put(self.with_row(row), number, None);
                self.add((number, "stores the dead letter"), next);
            }
            Some(_) => {
                let next = self.put(self.from.clone(), number, None);
                self.add((number, "nothing to do, deletes the message"), next);
            }
        }
    }

    fn materialise(&mut self, number: u8) {
        let written = match self.from.row {
            None => self.with_row(Row::FRESH),
            Some(_) => self.from.clone(),
        };
        let next = self.put(written, number, None);
        self.add((number, "puts the row back"), next);
    }

    fn claim(&mut self, number: u8, row: Row) {
        let from = self.from;
        let free = row.owner == 0 && !(self.guards().wait_is_kept && row.waits);
        let lapsed = row.owner > 0 && self.is_expired(&row);
        if !free && !lapsed {
            let next = self.put(from.clone(), number, None);
            return self.add((number, "refused, deletes the message"), next);
        }
        let token = if self.guards().tokens_are_unique { from.tokens } else { row.token + 1 };
        let dirty = row.owner > 0 || row.dirty;
        let claimed = Row {
            owner: number,
            token,
            lease_over: false,
            waits: false,
            touched: true,
            dirty,
            orphan: false,
            due: Due::Soon,
            ..row
        };
        let at = if row.submitted { At::Polling } else { At::Claimed };
        let worker = Worker { at, token, dirty, nudge: row.nudge, heard: from.hook_stored, early: row.waits };
        let mut next = self.put(self.with_row(claimed), number, Some(worker));
        next.tokens += 1;
        if row.owner > 0 && row.owner != number && !row.lease_over && from.holds(row.owner) && from.faults.failover == 0
        {
            next.breach = Some(Breach::Stolen);
        }
        if from.faults.lost_answer > 0 {
            let faults = Faults { lost_answer: from.faults.lost_answer - 1, ..from.faults };
            let mut lost = self.put(next.clone(), number, None);
            lost.row = Some(Row { orphan: true, ..claimed });
            lost.breach = from.breach;
            self.fault((number, "its claim commits, the answer is lost"), State { faults, ..lost });
        }
        self.add((number, "claims"), next);
    }

    fn carry(&mut self, number: u8, worker: Worker) {
        let from = self.from;
        let go = |at| self.put(from.clone(), number, Some(Worker { at, ..worker }));
        let fenced = |row: &Row| row.token == worker.token || !self.guards().writes_are_fenced;
        let mine = from.row.filter(|row| row.is_open() && fenced(row) && row.owner > 0);
        let after_lookup = if from.effects > 0 { At::Recording } else { At::Creating };
        match (worker.at, mine) {
            (At::Claimed, _) if worker.heard => self.add((number, "the webhook said completed"), go(At::Finishing)),
            (At::Claimed, _) if worker.dirty && self.guards().takeover_is_doubt => {
                self.add((number, "in doubt, looks it up"), go(after_lookup));
            }
            (At::Claimed, _) => self.add((number, "will create"), go(At::Creating)),
            (At::Creating, _) => self.create(number, worker),
            (At::Unknown, _) if self.guards().unknown_is_looked_up => {
                self.add((number, "unknown, looks it up"), go(after_lookup));
            }
            (At::Unknown, _) => self.add((number, "unknown, creates again"), go(At::Creating)),
            (At::Polling, _) if worker.heard || from.partner == Partner::Completed => {
                self.add((number, "it is completed"), go(At::Finishing));
            }
            (At::Polling, _) => self.add((number, "it is pending"), go(At::WaitingForPoll)),
            (At::Recording, Some(row)) => {
                let next = self.with_row(Row { submitted: true, dirty: false, touched: true, ..row });
                self.add(
                    (number, "notes that it is there"),
                    self.put(next, number, Some(Worker { at: At::Polling, ..worker })),
                );
            }
            (At::WaitingForPoll | At::WaitingForTry, Some(row)) => self.wait(number, worker, row),
            (At::Finishing, Some(row)) => self.finish(number, worker, row),
            (At::OwingCallback, _) => {
                let next = State { tell: Tell::Due, ..self.put(from.clone(), number, None) };
                self.add((number, "owes the callback"), next);
            }
            _ => self.add((number, "the fence refuses its write"), self.put(from.clone(), number, None)),
        }
    }

    fn create(&mut self, number: u8, worker: Worker) {
        let from = self.from;
        let go = |mut state: State, at| {
            state.workers[usize::from(number) - 1] = Some(Worker { at, ..worker });
            state
        };
        let early = |mut state: State| {
            if worker.early {
                state.breach = state.breach.or(Some(Breach::Early));
            }
            state
        };
        let unknown = |state: State| {
            let faults = Faults { unknown: from.faults.unknown.saturating_sub(1), ..from.faults };
            State { faults, ..go(state, At::Unknown) }
        };
        let arrived = self.created(from.clone());
        if from.faults.unknown > 0 {
            let late = unknown(State { late: true, ..from.clone() });
            self.fault((number, "creates, 504, created"), unknown(arrived.clone()));
            self.fault((number, "creates, 504, lands later"), late);
        }
        if from.faults.unavailable > 0 {
            let faults = Faults { unavailable: from.faults.unavailable - 1, ..from.faults };
            let refused = State { faults, ..go(early(from.clone()), At::WaitingForTry) };
            self.fault((number, "creates, unavailable"), refused);
        }
        if from.faults.rejected > 0 && (from.effects > 0 || from.late) {
            let faults = Faults { rejected: from.faults.rejected - 1, ..from.faults };
            let refused = if self.guards().rejection_is_looked_up {
                go(early(from.clone()), At::Unknown)
            } else {
                self.fail(number)
            };
            self.fault((number, "creates, refused"), State { faults, ..refused });
        }
        self.add((number, "creates"), go(early(arrived), At::Recording));
    }

    /// Believes that nothing is there.
    fn fail(&self, number: u8) -> State {
        let ended = self.from.row.map(|row| Row { end: End::Failed, owner: 0, touched: true, ..row });
        let breach = (self.from.effects > 0).then_some(Breach::FailedYetCreated);
        State { row: ended, tell: Tell::Due, breach, ..self.put(self.from.clone(), number, None) }
    }

    fn wait(&mut self, number: u8, worker: Worker, row: Row) {
        let mut due = if worker.at == At::WaitingForPoll { Due::Far } else { Due::Soon };
        if self.guards().wait_counts_nudges && row.nudge != worker.nudge {
            due = Due::Now;
        }
        let waits = worker.at == At::WaitingForTry && due == Due::Soon;
        let released = Row { owner: 0, due, waits, dirty: false, lease_over: false, touched: true, ..row };
        let mut next = self.put(self.with_row(released), number, None);
        if row.token != worker.token && self.from.holds(row.owner) {
            next.breach = Some(Breach::Stolen);
        }
        self.add((number, "waits"), next);
    }

    fn finish(&mut self, number: u8, worker: Worker, row: Row) {
        let ended = self.with_row(Row { end: End::Completed, owner: 0, touched: true, ..row });
        if self.guards().end_owes_callback {
            let telling = Some(Worker { at: At::Telling, ..worker });
            let told = State { tell: Tell::Claimed(number), ..self.put(ended.clone(), number, telling) };
            self.add((number, "ends it, and claims the callback"), told);
            let owed = State { tell: Tell::Due, ..self.put(ended, number, None) };
            self.add((number, "ends it, and owes the callback"), owed);
        } else {
            let next = self.put(ended, number, Some(Worker { at: At::OwingCallback, ..worker }));
            self.add((number, "ends it"), next);
        }
    }

    fn tell(&mut self, number: u8, worker: Worker) {
        let next = self.put(self.from.clone(), number, Some(Worker { at: At::Heard, ..worker }));
        self.add((number, "delivers the callback"), next);
    }

    fn told(&mut self, number: u8, _worker: Worker) {
        let from = self.from.clone();
        let next = match from.tell {
            Tell::Claimed(owner) if owner == number => State { tell: Tell::Told, ..self.put(from, number, None) },
            _ => self.put(from, number, None),
        };
        self.add((number, "notes that the client was told"), next);
    }
}

const fn receives(message: Message) -> &'static str {
    match message {
        Message::First => "receives the first message",
        Message::Nudge => "receives a nudge",
        Message::Journal => "receives a journal entry",
        Message::Dead => "receives a dead letter",
        Message::None => "receives nothing",
    }
}

fn take(state: &mut State, message: Message) -> bool {
    let count = match message {
        Message::First => &mut state.first,
        Message::Nudge => &mut state.nudges,
        Message::Journal => &mut state.journal,
        Message::Dead => &mut state.dead,
        Message::None => return false,
    };
    let there = *count > 0;
    *count = count.saturating_sub(1);
    there
}

fn give_back(state: &mut State, message: Message) {
    match message {
        Message::First => state.first += 1,
        Message::Nudge => state.nudges += 1,
        Message::Journal => state.journal += 1,
        Message::Dead => state.dead += 1,
        Message::None => {}
    }
}
