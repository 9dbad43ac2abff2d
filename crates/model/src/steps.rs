//! What can happen next. Each step names itself, so that a way to a breach reads as a story.

use crate::guards::Guards;
use crate::state::{Api, At, Breach, Due, End, Faults, Message, Partner, Row, State, Tell, Worker};
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

    fn accept(&mut self) {
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

    fn time(&mut self) {
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

    fn is_expired(&self, row: &Row) -> bool {
        if self.guards().lease_is_apart { row.lease_over } else { row.due == Due::Now }
    }

    fn relay(&mut self) {
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

    fn partner(&mut self) {
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
    fn created(&self, mut state: State) -> State {
        state.effects = if self.guards().partner_knows_keys { 1 } else { state.effects + 1 };
        if state.partner == Partner::Nothing {
            state.partner = Partner::Pending;
        }
        if state.effects > 1 {
            state.breach = state.breach.or(Some(Breach::Doubled));
        }
        if state.row.is_some_and(|row| row.end == End::Cancelled) {
            state.breach = state.breach.or(Some(Breach::CancelledYetCreated));
        }
        state
    }

    fn client(&mut self) {
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

    fn worker(&mut self, number: u8) {
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
        if from.faults.rejected > 0 && from.effects > 0 {
            let faults = Faults { rejected: from.faults.rejected - 1, ..from.faults };
            let refused = if self.guards().rejection_is_looked_up {
                go(early(from.clone()), At::Unknown)
            } else {
                self.fail(number)
            };
            self.fault((number, "creates, refused: it is there"), State { faults, ..refused });
        }
        self.add((number, "creates"), go(early(arrived), At::Recording));
    }

    /// Believes that nothing is there.
    fn fail(&self, number: u8) -> State {
        let ended = self.from.row.map(|row| Row { end: End::Failed, owner: 0, touched: true, ..row });
        let breach = Some(Breach::FailedYetCreated);
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
