-- What an API key may do, how long, and when it last did something.
alter table api_keys
    -- A key from before, or of a version before, may do everything that there was then.
    add column scopes text[] not null default array[
            'transactions:read', 'transactions:write', 'refunds:read', 'refunds:write', 'orders:read', 'orders:write',
            'callback-endpoint:read', 'callback-endpoint:write'
        ]
        constraint api_keys_scopes_check check (
            cardinality(scopes) > 0
            and scopes <@ array[
                'transactions:read', 'transactions:write', 'refunds:read', 'refunds:write', 'orders:read', 'orders:write',
                'callback-endpoint:read', 'callback-endpoint:write'
            ]
        ),
    -- To about a minute.
    add column last_used_at timestamptz,
    add column disabled_at timestamptz;

-- A client has two live keys at most. Of two who issue one at the same time, the second finds this changed.
alter table clients add column keys_issued int not null default 0;
