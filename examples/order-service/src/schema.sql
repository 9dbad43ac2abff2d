-- What the service keeps. Created at its start.

create table if not exists orders (
    -- The id of Holdfast's command: the subject of its events.
    id text collate "C" primary key,
    status text not null,
    -- Of the last event.
    sequence bigint not null,
    -- The order as that event told it.
    data json not null,
    changed_at timestamptz not null default now()
);

-- Everything that was handled, as it was handled. Nothing here refuses a second row of the same event: that there is none is
-- the consumer library's doing.
create table if not exists order_events (
    position bigint generated always as identity primary key,
    order_id text collate "C" not null,
    sequence bigint not null,
    kind text not null
);

create index if not exists order_events_order on order_events (order_id);
