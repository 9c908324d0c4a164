-- scs v2, postgresstore/README.md; the users are the app's own.
create table sessions (
    token text primary key,
    data bytea not null,
    expiry timestamptz not null
);
create index sessions_expiry_idx on sessions (expiry);
create table users (id uuid primary key, hashed_password char(60) not null);
