-- The console: who may use it, and from which browsers somebody does.
create table operators (
    no int generated always as identity constraint operators_pkey primary key,
    login text not null constraint operators_login_key unique
        constraint operators_login_check check (login ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    -- argon2id, in PHC's form.
    password_hash text not null,
    created_at timestamptz not null default holdfast_now(),
    disabled_at timestamptz
);

create table operator_sessions (
    -- SHA-256 of a random token; the token itself is in its browser alone.
    hash bytea constraint operator_sessions_pkey primary key
        constraint operator_sessions_hash_check check (octet_length(hash) = 32),
    operator int not null constraint operator_sessions_operator_fkey references operators (no),
    -- What every form of this session carries.
    csrf_secret bytea not null
        constraint operator_sessions_csrf_secret_check check (octet_length(csrf_secret) = 32),
    created_at timestamptz not null default holdfast_now(),
    last_seen timestamptz not null default holdfast_now(),
    expires_at timestamptz not null
);

create index operator_sessions_operator_idx on operator_sessions (operator);

-- Callbacks that an operator had sent once more. The trail of a command belongs to who holds its claims.
create table callback_resends (
    no bigint generated always as identity constraint callback_resends_pkey primary key,
    command bigint not null,
    callback_id text not null,
    resent_at timestamptz not null default holdfast_now(),
    resent_by text not null,
    resent_why text not null
);

create index callback_resends_command_idx on callback_resends (command, no);

-- What each worker makes of its partners at present: each has breakers of its own.
alter table workers add column partners jsonb;
