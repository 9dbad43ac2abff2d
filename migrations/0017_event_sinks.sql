-- Every state change is an event for others: the acceptance of a command is its row in commands, each later one a row of
-- events. Sinks outside get them in the order of the transactions that wrote them.

-- The transaction that wrote the row. Added before it has a default, so that no row is rewritten: older rows have none, and
-- are published only by a replay. It fills in by itself what a process of an earlier release writes, too.
alter table commands add column xid xid8;
alter table commands alter column xid set default pg_current_xact_id();

-- How far each sink is, and whose turn it is to publish to it.
create table event_sinks (
    name text constraint event_sinks_pkey primary key
        constraint event_sinks_name_check check (name <> '' and length(name) <= 100),
    -- The last row that the sink has confirmed. Every row behind it is still to be published.
    xid xid8 not null,
    no bigint not null default 0,
    sequence int not null default 0,
    -- The publisher: its fence, and until when nobody else may be it.
    token bigint,
    lease_until timestamptz,
    started_at timestamptz not null default holdfast_now(),
    published_at timestamptz,
    -- Attempts in a row that failed, and why the last one did.
    failures int not null default 0,
    error text,
    failed_at timestamptz,
    -- The event that the sink will never take: it holds up all others until somebody decides.
    refused text,
    -- What somebody has decided to leave out, or did last.
    skip text,
    skip_by text,
    skip_why text,
    skipped bigint not null default 0,
    constraint event_sinks_claim_check check ((token is null) = (lease_until is null)),
    constraint event_sinks_counters_check check (no >= 0 and sequence >= 0 and failures >= 0 and skipped >= 0)
) with (fillfactor = 50);
