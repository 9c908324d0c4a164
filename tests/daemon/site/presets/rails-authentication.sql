-- Rails 8, bin/rails generate authentication.
create table users (
    id bigserial primary key,
    email_address varchar not null unique,
    password_digest varchar not null,
    created_at timestamp(6) not null default (now() at time zone 'UTC'),
    updated_at timestamp(6) not null default (now() at time zone 'UTC')
);
create table sessions (
    id bigserial primary key,
    user_id bigint not null references users (id),
    ip_address varchar,
    user_agent varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null default (now() at time zone 'UTC')
);
create index index_sessions_on_user_id on sessions (user_id);
