-- Idempotency: which commands were carried out, with the answer they got.
create table command_log (
    key          bytea       not null, -- SHA-256 of scope and key
    request_hash bytea       not null,
    subject_id   uuid        not null, -- whose key seals the answer
    answer       text        not null, -- sealed JSON
    log_number   bigint      not null, -- of the last event the command recorded
    recorded_at  timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    constraint command_log_pkey primary key (key)
);
create index command_log_expires_at_idx on command_log (expires_at);
