-- Phoenix 1.8, phx.gen.auth, migration.ex.eex.
create extension if not exists citext;
create table users (
    id bigserial primary key,
    email citext not null unique,
    hashed_password varchar(255),
    confirmed_at timestamp(0),
    inserted_at timestamp(0) not null default (now() at time zone 'UTC'),
    updated_at timestamp(0) not null default (now() at time zone 'UTC')
);
create table users_tokens (
    id bigserial primary key,
    user_id bigint not null references users (id) on delete cascade,
    token bytea not null,
    context varchar(255) not null,
    sent_to varchar(255),
    authenticated_at timestamp(0),
    inserted_at timestamp(0) not null
);
create index on users_tokens (user_id);
create unique index on users_tokens (context, token);
