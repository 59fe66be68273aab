-- Trigrams find the words that begin with some letters, for the search for people. The extension is
-- trusted: whoever owns the database may create it (PostgreSQL manual, F.35).
create extension if not exists pg_trgm;
