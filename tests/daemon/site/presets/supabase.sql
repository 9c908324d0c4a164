-- Supabase Auth, migrations of 2022 and later: the columns that are not about factors and OAuth.
create schema auth;
create table auth.users (
    instance_id uuid,
    id uuid not null primary key,
    email varchar(255),
    encrypted_password varchar(255),
    banned_until timestamptz,
    deleted_at timestamptz
);
create table auth.sessions (
    id uuid not null primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    created_at timestamptz,
    updated_at timestamptz,
    factor_id uuid,
    not_after timestamptz,
    refreshed_at timestamp,
    user_agent text,
    ip inet,
    tag text
);
create index sessions_user_id_idx on auth.sessions (user_id);
create index sessions_not_after_idx on auth.sessions (not_after desc);
create table auth.refresh_tokens (
    id bigserial primary key,
    token varchar(255),
    user_id varchar(255),
    session_id uuid references auth.sessions (id) on delete cascade
);
