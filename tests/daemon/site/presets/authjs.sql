-- @auth/pg-adapter, schema.sql.
create table users (
    id serial primary key,
    name varchar(255),
    email varchar(255),
    "emailVerified" timestamptz,
    image text
);
create table sessions (
    id serial primary key,
    "userId" integer not null,
    expires timestamptz not null,
    "sessionToken" varchar(255) not null
);
