-- Codes that were sent: how often each was guessed at, and how often a destination was sent one. The codes
-- themselves are nowhere: they follow from the id and a key.
create table one_time_codes (
    id          uuid        not null, -- names the verification to clients
    purpose     text        not null,
    destination bytea       not null, -- keyed hash of the address or number
    subject_id  uuid,                 -- whose account; null: nobody's
    attempts    integer     not null default 0,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    used_at     timestamptz,          -- used, or replaced by a newer one
    constraint one_time_codes_pkey primary key (id)
);
create index one_time_codes_destination_idx on one_time_codes (purpose, destination, created_at);
create index one_time_codes_subject_idx on one_time_codes (subject_id) where used_at is null;
