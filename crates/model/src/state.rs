//! Everything that can differ between two moments.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    Now,
    Soon,
    Far,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    Open,
    Completed,
    Cancelled,
    Failed,
}

/// The command in Postgres, with its wakeup of the lane `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub end: End,
    /// 0: nobody.
    pub owner: u8,
    pub token: u8,
    pub due: Due,
    pub lease_over: bool,
    /// Not claimable before it is due: the time between two tries.
    pub waits: bool,
    /// The partner is known to have it.
    pub submitted: bool,
    pub nudge: u8,
    /// Whether anything was written since acceptance.
    pub touched: bool,
    pub dirty: bool,
    /// The answer to this claim was lost: its holder does not know that it holds.
    pub orphan: bool,
}

impl Row {
    pub(crate) const FRESH: Self = Self {
        end: End::Open,
        owner: 0,
        token: 0,
        due: Due::Soon,
        lease_over: false,
        waits: false,
        submitted: false,
        nudge: 0,
        touched: false,
        dirty: false,
        orphan: false,
    };

    pub(crate) fn is_open(&self) -> bool {
        self.end == End::Open
    }
}

/// The lane `tell`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tell {
    /// Nothing is owed yet.
    None,
    Due,
    /// In the hands of a worker, by its number.
    Claimed(u8),
    /// The client was told, and the row is gone.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    Idle,
    Committed,
    Sent,
    Done,
}

/// Which message led a worker here: it comes back if the worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    First,
    Nudge,
    Journal,
    Dead,
    None,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Received(Message),
    /// A journal entry was deleted before its row was written.
    DeletedTooSoon,
    Claimed,
    Creating,
    Unknown,
    Recording,
    Polling,
    WaitingForPoll,
    WaitingForTry,
    Finishing,
    /// Only if the end does not owe the callback itself.
    OwingCallback,
    Telling,
    Heard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    pub at: At,
    pub token: u8,
    pub dirty: bool,
    /// As seen at the claim.
    pub nudge: u8,
    /// The webhook was stored when it claimed.
    pub heard: bool,
    /// The row's wait was not over when it claimed.
    pub early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partner {
    Nothing,
    Pending,
    Completed,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    pub crash: u8,
    pub duplicate: u8,
    /// A living worker's lease ends.
    pub false_alarm: u8,
    pub lost_answer: u8,
    pub unknown: u8,
    pub unavailable: u8,
    /// The partner refuses a creation after one that was lost.
    pub rejected: u8,
    pub cancel: u8,
    pub failover: u8,
    /// Postgres cannot be reached by the API.
    pub outage: u8,
    /// SQS puts a first message into the dead-letter queue.
    pub dead_letter: u8,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// Two effects at the partner.
    Doubled,
    /// A business try before its delay was over.
    Early,
    /// Cancelled, yet the partner has it.
    CancelledYetCreated,
    /// Failed, yet the partner has it.
    FailedYetCreated,
    /// A living, punctual holder was dispossessed.
    Stolen,
    /// Two live holders whose token passes.
    TwoHolders,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub row: Option<Row>,
    /// Before the last commit, as far as a failover can lose it.
    pub before: Option<Row>,
    pub tell: Tell,
    pub api: Api,
    /// The client has its 202.
    pub accepted: bool,
    pub first: u8,
    pub nudges: u8,
    pub journal: u8,
    pub dead: u8,
    pub relay_sends: bool,
    pub hook_to_publish: bool,
    pub workers: [Option<Worker>; 2],
    pub effects: u8,
    pub partner: Partner,
    pub hook_left: bool,
    pub hook_stored: bool,
    /// A creation is still on its way.
    pub late: bool,
    pub tokens: u8,
    pub faults: Faults,
    pub breach: Option<Breach>,
}

impl State {
    pub fn first(faults: Faults) -> Self {
        Self {
            row: None,
            before: None,
            tell: Tell::None,
            api: Api::Idle,
            accepted: false,
            first: 0,
            nudges: 0,
            journal: 0,
            dead: 0,
            relay_sends: false,
            hook_to_publish: false,
            workers: [None, None],
            effects: 0,
            partner: Partner::Nothing,
            hook_left: true,
            hook_stored: false,
            late: false,
            tokens: 1,
            faults,
            breach: None,
        }
    }

    /// Nothing more is owed to anybody.
    pub fn is_over(&self) -> bool {
        !self.accepted || self.row.is_some_and(|row| !row.is_open()) && self.tell == Tell::Told
    }

    pub(crate) fn in_queue(&self) -> u8 {
        self.first + self.nudges + self.journal + self.dead
    }

    pub(crate) fn holds(&self, worker: u8) -> bool {
        let at = |worker: &Worker| !matches!(worker.at, At::Received(_) | At::DeletedTooSoon);
        let held = self.workers[usize::from(worker) - 1].filter(at);
        held.is_some_and(|worker| self.row.is_some_and(|row| row.token == worker.token))
    }
}
