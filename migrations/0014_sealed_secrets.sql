-- Callback secrets are sealed by the binaries, with a key that is not here. What an earlier release has written, 24 to 64
-- bytes in plain, stays readable until `holdfast secrets seal` has been run; what is sealed is always longer, and marked.
alter table clients
    drop constraint clients_callback_secret_check,
    add constraint clients_callback_secret_check check (
        octet_length(callback_secret) between 24 and 64
        or octet_length(callback_secret) between 65 and 256
            and substring(callback_secret from 1 for 10) = 'hf-sealed:'::bytea
    ),
    add constraint clients_callback_previous_secret_check check (
        octet_length(callback_previous_secret) between 24 and 64
        or octet_length(callback_previous_secret) between 65 and 256
            and substring(callback_previous_secret from 1 for 10) = 'hf-sealed:'::bytea
    );
