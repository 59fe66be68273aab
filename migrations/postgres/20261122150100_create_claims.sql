-- Uniqueness over all aggregates: e-mail addresses, phone numbers, names. Only keyed hashes.
create table claims (
    scope          text  not null,
    value          bytea not null, -- HMAC-SHA-256 of the canonical value
    aggregate_type text  not null,
    aggregate_id   text  not null,
    constraint claims_pkey primary key (scope, value)
);
create index claims_owner_idx on claims (aggregate_type, aggregate_id);
