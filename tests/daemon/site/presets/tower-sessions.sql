-- tower-sessions-sqlx-store 0.15, PostgresStore::migrate(); the users are the app's own.
create schema "tower_sessions";
create table "tower_sessions"."session" (
    id text primary key not null,
    data bytea not null,
    expiry_date timestamptz not null
);
create table users (id integer primary key, username text not null unique, password text not null);
