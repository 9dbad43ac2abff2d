-- Who looks at all that is owed: one process at a time, so that the answer costs the same however many run.
create table surveyor (
    one boolean not null default true constraint surveyor_pkey primary key,
    process bigint not null,
    until timestamptz not null,
    constraint surveyor_one_check check (one)
);
