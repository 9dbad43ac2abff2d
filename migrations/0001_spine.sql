-- The spine: commands, what is still owed (wakeups), how they ended (outcomes), and their audit trail (events).
--
-- Every inner key is one bigint; the UUID that clients see is one unique index on commands. Hot tables have no foreign
-- keys and no triggers: they would double what a command costs, and the statements that write them are guarded anyway.

-- The one source of time (PROTOCOL 24). Tests replace it to move the clock.
create function holdfast_now() returns timestamptz
    language sql stable parallel safe as 'select now()';

create table clients (
    no int generated always as identity constraint clients_pkey primary key,
    name text not null constraint clients_name_key unique
        constraint clients_name_check check (name <> '' and length(name) <= 100),
    -- Where callbacks go when the command names no callbackUrl of its own.
    callback_url text,
    -- The bytes behind the client's whsec_ secret.
    callback_secret bytea not null
        constraint clients_callback_secret_check check (octet_length(callback_secret) between 24 and 64),
    disabled_at timestamptz,
    created_at timestamptz not null default holdfast_now()
);

create table api_keys (
    key_id text constraint api_keys_pkey primary key,
    client int not null constraint api_keys_client_fkey references clients (no),
    -- HMAC-SHA256 of the whole key; the key itself is stored nowhere.
    hash bytea not null constraint api_keys_hash_check check (octet_length(hash) = 32),
    created_at timestamptz not null default holdfast_now()
);

-- Insert-only. Never locked, never updated.
create table commands (
    no bigint generated always as identity constraint commands_pkey primary key,
    id uuid not null constraint commands_id_key unique,
    client int not null,
    -- 1 transaction, 2 refund, 3 order.
    kind smallint not null constraint commands_kind_check check (kind between 1 and 3),
    -- What identifies the command. Not indexed: the id is computed from it.
    key text not null,
    header_key text,
    fingerprint bytea not null constraint commands_fingerprint_check check (octet_length(fingerprint) = 32),
    body text not null,
    traceparent text,
    created_at timestamptz not null default holdfast_now()
);

-- Narrow and hot: one row for everything that somebody still owes. Outbox, timer, lease and watchdog in one.
-- due_at is the only indexed column beside the key, so that claims are HOT updates; fillfactor leaves them the room.
create table wakeups (
    no bigint not null,
    -- 0 run (the command itself), 1 tell (what its client must still be told). Who needs both rows locks run first.
    lane smallint not null constraint wakeups_lane_check check (lane in (0, 1)),
    kind smallint not null,
    -- When the relay must look.
    due_at timestamptz not null,
    -- From when it may be claimed.
    run_at timestamptz not null default holdfast_now(),
    -- The claim: the fence, whose it is, until when it stands.
    token bigint,
    worker bigint,
    lease_until timestamptz,
    -- How often somebody knocked: a holder that saw an older number must look again before it waits.
    nudge int not null default 0,
    -- Claims that were taken over and not released cleanly since: what they did is unknown.
    dirty smallint not null default 0,
    publishes smallint not null default 0,
    -- A creation was sent to a partner under a claim that has ended.
    sent boolean not null default false,
    -- Callback attempts of the present state (lane tell).
    tries smallint not null default 0,
    -- The sequence of the last row that was appended to events.
    sequence int not null default 0,
    status text,
    step text not null default 'record',
    next_try_at timestamptz,
    first_sent_at timestamptz,
    settle_deadline timestamptz,
    progress jsonb,
    constraint wakeups_pkey primary key (no, lane),
    constraint wakeups_claim_check check (
        (token is null) = (lease_until is null) and (token is null) = (worker is null)
    ),
    constraint wakeups_status_check check (
        case lane when 0 then status is not null and status in ('accepted', 'processing', 'pending') else status is null end
    ),
    constraint wakeups_accepted_check check (
        status is distinct from 'accepted' or (token is null and not sent and dirty = 0)
    ),
    constraint wakeups_counters_check check (
        nudge >= 0 and dirty >= 0 and publishes >= 0 and tries >= 0 and sequence >= 0
    )
) with (
    fillfactor = 30,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000
);

create index wakeups_due_at_idx on wakeups (due_at);

-- The end of a command: final, or parked as needs_attention (then there is no wakeup, PROTOCOL 20).
create table outcomes (
    no bigint constraint outcomes_pkey primary key,
    status text not null
        constraint outcomes_status_check check (status in ('completed', 'failed', 'cancelled', 'needs_attention')),
    reason text,
    detail text,
    progress jsonb not null,
    sequence int not null,
    finished_at timestamptz not null default holdfast_now(),
    constraint outcomes_reason_check check ((reason is null) = (status in ('completed', 'cancelled')))
);

-- What the step record writes: the business row, independent of how the command travels.
create table transactions (
    no bigint constraint transactions_pkey primary key,
    client int not null,
    amount bigint not null constraint transactions_amount_check check (amount > 0),
    currency text not null constraint transactions_currency_check check (currency ~ '^[A-Z]{3}$'),
    -- Who carries it out. Fixed here: a change of configuration must not send it to a second one.
    partner text not null,
    refunded bigint not null default 0,
    constraint transactions_refunded_check check (refunded between 0 and amount)
);

-- What partners said by webhook. Unique by their event id, kept until the command reads it, early ones included.
create table partner_updates (
    partner text not null,
    event_id text not null,
    command_id uuid not null,
    status text not null
        constraint partner_updates_status_check check (status in ('pending', 'completed', 'failed')),
    reason text,
    received_at timestamptz not null default holdfast_now(),
    constraint partner_updates_pkey primary key (partner, event_id)
);

create index partner_updates_command_id_idx on partner_updates (command_id);

-- One heartbeat row per life of a worker.
create table workers (
    id bigint constraint workers_pkey primary key,
    name text not null,
    beat timestamptz not null default holdfast_now(),
    -- Since when its beats came without a gap: who was silent itself may not declare others dead.
    steady_since timestamptz not null default holdfast_now(),
    started_at timestamptz not null default holdfast_now()
) with (fillfactor = 50);

-- The audit trail: append-only, one row per write, holding what happened since the last. Only who holds the command's
-- wakeup appends, so the sequence has no gaps and no forks. Acceptance itself is the row in commands (sequence 0).
create table events (
    no bigint not null,
    sequence int not null constraint events_sequence_check check (sequence > 0),
    at timestamptz not null default holdfast_now(),
    data jsonb not null constraint events_data_check check (jsonb_typeof(data) = 'array'),
    constraint events_pkey primary key (no, sequence)
);

-- Messages that nobody could act on, kept with the reason.
create table dead_letters (
    no bigint generated always as identity constraint dead_letters_pkey primary key,
    queue text not null,
    message_id text not null,
    body text not null,
    cause text not null,
    received_at timestamptz not null default holdfast_now(),
    constraint dead_letters_message_id_key unique (queue, message_id)
);
