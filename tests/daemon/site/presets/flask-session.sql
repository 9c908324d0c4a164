-- Flask-Session 0.8.0, create_session_model(); the users are the app's own.
create table sessions (
    id serial primary key,
    session_id varchar(255) unique,
    data bytea,
    expiry timestamp
);
create table "user" (id serial primary key, password_hash varchar(256));
