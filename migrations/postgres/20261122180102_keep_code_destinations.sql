-- Codes by text message: where one went must be known when it comes back, whoever brings it.
alter table one_time_codes add column sealed_destination bytea; -- encrypted under the master key
create index one_time_codes_created_at_idx on one_time_codes (created_at) where purpose like 'phone%';
