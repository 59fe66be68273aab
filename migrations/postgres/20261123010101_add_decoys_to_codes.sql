-- What only looks as if a code was sent must not get in the way of codes that were: it is told apart. Codes to one
-- number are counted together whatever they are for, and codes die by the account's events, not one by one.
alter table one_time_codes add column decoy boolean not null default false; -- nothing was sent
update one_time_codes set decoy = true where purpose = 'verify_email' and subject_id is null;
create index one_time_codes_sent_to_idx on one_time_codes (destination, created_at);
drop index one_time_codes_destination_idx;
drop index one_time_codes_subject_idx;
