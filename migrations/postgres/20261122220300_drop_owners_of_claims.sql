-- Claims are looked up by what is claimed, never by their owner: one index less to write for each.
drop index claims_owner_idx;
