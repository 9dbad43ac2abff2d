-- A secret that was exchanged again before the time of the one before it was over: that one, which may be the only one that
-- the client has, stays valid as long as it was said to be.
alter table clients
    add column callback_older_secret bytea,
    add column callback_older_until timestamptz,
    add constraint clients_callback_older_check check (
        (callback_older_secret is null) = (callback_older_until is null)
    ),
    add constraint clients_callback_older_secret_check check (
        octet_length(callback_older_secret) between 24 and 64
        or octet_length(callback_older_secret) between 65 and 256
            and substring(callback_older_secret from 1 for 10) = 'hf-sealed:'::bytea
    );
