-- How often a row was claimed without getting any further, and how often of these it was alone in its process: what
-- crashes every worker must not take its neighbours with it, and must end somewhere.
alter table wakeups
    add column failures smallint not null default 0,
    add column alone smallint not null default 0,
    add constraint wakeups_failures_check check (failures >= 0 and alone >= 0);

-- What operators need to find, send again or put aside.
alter table dead_letters
    add column kind smallint,
    add column command_id uuid,
    add column receive_count int not null default 1,
    add column state text not null default 'kept',
    add column settled_at timestamptz,
    add column settled_by text,
    add column settled_why text,
    add constraint dead_letters_state_check check (state in ('kept', 'redriven', 'discarded')),
    add constraint dead_letters_settled_check check (
        (state = 'kept') = (settled_at is null)
        and (settled_at is null) = (settled_by is null)
        and (settled_at is null) = (settled_why is null)
    );

create index dead_letters_kept_idx on dead_letters (no) where state = 'kept';
create index dead_letters_body_idx on dead_letters (md5(body));

-- What an operator must look at although the command has ended: a partner's word that contradicts the end.
create table attention_items (
    no bigint generated always as identity constraint attention_items_pkey primary key,
    command bigint not null,
    code text not null,
    detail text not null,
    opened_at timestamptz not null default holdfast_now(),
    closed_at timestamptz,
    closed_by text,
    closed_why text,
    constraint attention_items_detail_key unique (command, code, detail),
    constraint attention_items_closed_check check (
        (closed_at is null) = (closed_by is null) and (closed_at is null) = (closed_why is null)
    )
);

create index attention_items_open_idx on attention_items (no) where closed_at is null;
