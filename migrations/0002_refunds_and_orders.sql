-- The business rows of refunds and orders, each written by the step record.

create table refunds (
    no bigint constraint refunds_pkey primary key,
    client int not null,
    -- The transaction of ours whose sum this refund has reserved (transactions.refunded), if it is one of ours.
    transaction bigint,
    amount bigint not null constraint refunds_amount_check check (amount > 0),
    currency text not null constraint refunds_currency_check check (currency ~ '^[A-Z]{3}$'),
    -- Who must take part, in this order. Fixed here: a change of configuration must not reroute what is under way.
    partners text[] not null constraint refunds_partners_check check (cardinality(partners) > 0)
);

create table orders (
    no bigint constraint orders_pkey primary key,
    client int not null,
    user_id text not null,
    product_name text not null,
    quantity bigint not null constraint orders_quantity_check check (quantity > 0),
    total_price bigint not null constraint orders_total_price_check check (total_price > 0),
    currency text not null constraint orders_currency_check check (currency ~ '^[A-Z]{3}$'),
    -- Who fulfils it; nobody, if none was configured.
    partner text
);
