-- activerecord-session_store 2.3.0, migration.rb, with Devise's users.
create table users (
    id bigserial primary key,
    email varchar not null default '',
    encrypted_password varchar not null default '',
    created_at timestamp(6) not null default (now() at time zone 'UTC'),
    updated_at timestamp(6) not null default (now() at time zone 'UTC')
);
create table sessions (
    id bigserial primary key,
    session_id varchar not null,
    data text,
    created_at timestamp(6) not null default (now() at time zone 'UTC'),
    updated_at timestamp(6) not null
);
create unique index index_sessions_on_session_id on sessions (session_id);
create index index_sessions_on_updated_at on sessions (updated_at);
