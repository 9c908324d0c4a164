-- connect-pg-simple 10.0.0, table.sql; the users are the app's own.
create table "session" (
    "sid" varchar not null collate "default",
    "sess" json not null,
    "expire" timestamp(6) not null
);
alter table "session" add constraint "session_pkey" primary key ("sid") not deferrable initially immediate;
create index "IDX_session_expire" on "session" ("expire");
create table members (id bigserial primary key, pw text);
