-- A table of somebody's own: names that are reserved words, dots and quotes in them, 63 bytes of them, and keys of raw bytes.
create schema "select";
create table "select"."ünïcödé.""users""" (
    "from" bigint primary key,
    "set password = 'x'" text
);
create table "select"."order" (
    "key_of_63_bytes_which_is_the_most_that_a_name_in_postgres_has_x" bytea primary key,
    "who.is ""it""" integer,
    "until :now" numeric
);
create index on "select"."order" ("until :now");
