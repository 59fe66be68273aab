-- Who asks for a code with an Idempotency-Key, and again because the answer was lost, gets the first answer. It
-- follows from the code and from what is asked: nothing of it is kept here.
alter table one_time_codes
    add column idempotency_key bytea,                 -- SHA-256 of scope and key
    add column request_hash    bytea,                 -- keyed hash of the request
    add column answered        boolean not null default false; -- false: it is under way, or failed
create index one_time_codes_idempotency_key_idx on one_time_codes (idempotency_key) where idempotency_key is not null;
