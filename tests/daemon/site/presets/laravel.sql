-- Laravel 13, 0001_01_01_000000_create_users_table.php. foreignId() without constrained() makes no foreign key.
create table "users" (
    "id" bigserial not null primary key,
    "name" varchar(255) not null,
    "email" varchar(255) not null unique,
    "email_verified_at" timestamp(0) without time zone null,
    "password" varchar(255) not null,
    "remember_token" varchar(100) null,
    "created_at" timestamp(0) without time zone null,
    "updated_at" timestamp(0) without time zone null
);
create table "sessions" (
    "id" varchar(255) not null primary key,
    "user_id" bigint null,
    "ip_address" varchar(45) null,
    "user_agent" text null,
    "payload" text not null,
    "last_activity" integer not null
);
create index "sessions_user_id_index" on "sessions" ("user_id");
create index "sessions_last_activity_index" on "sessions" ("last_activity");
