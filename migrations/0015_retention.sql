-- Retention: a command that ended long ago loses its payload. What stays of it for ever, its rows in commands and outcomes,
-- is its tombstone: its id, its kind, its status, and the fingerprint by which a replay is known. So its key can never be
-- used again, and whoever accepts a command need not look anywhere else.

alter table outcomes
    -- Since when the payload is gone. Here and not on the command: whatever can still happen to a command that has ended is
    -- decided by this row.
    add column expunged_at timestamptz,
    -- When its client was owed it once more, after it had ended: who takes the payload away looks at this row alone.
    add column resent_at timestamptz,
    -- Parked is not ended. No row has the mark yet: there is nothing to look through.
    add constraint outcomes_expunged_check check (expunged_at is null or status <> 'needs_attention') not valid;

-- How far the walk along the commands has come, in the order of their numbers, and who walks: one process at a time.
create table retention_progress (
    one boolean not null default true constraint retention_progress_pkey primary key,
    position bigint not null default 0,
    process bigint,
    until timestamptz,
    constraint retention_progress_one_check check (one)
);

insert into retention_progress default values;

-- What the walk has passed because its time had not come: it had not ended, or too late, or somebody was still owed it.
create table retention_postponed (
    no bigint constraint retention_postponed_pkey primary key,
    look_at timestamptz not null
);

create index retention_postponed_look_at_idx on retention_postponed (look_at);
