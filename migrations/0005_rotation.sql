-- Secrets and keys are exchanged with an overlap in which the old one is valid too.
alter table clients
    add column callback_previous_secret bytea,
    add column callback_previous_until timestamptz,
    add constraint clients_callback_previous_check check (
        (callback_previous_secret is null) = (callback_previous_until is null)
    );

alter table api_keys add column expires_at timestamptz;
