-- better-auth 1.x, as its own migration makes the tables of get-tables.ts.
create table "user" (
    "id" text not null primary key,
    "name" text not null,
    "email" text not null unique,
    "emailVerified" boolean not null,
    "image" text,
    "createdAt" timestamptz default now() not null,
    "updatedAt" timestamptz default now() not null
);
create table "session" (
    "id" text not null primary key,
    "expiresAt" timestamptz not null,
    "token" text not null unique,
    "createdAt" timestamptz default now() not null,
    "updatedAt" timestamptz default now() not null,
    "ipAddress" text,
    "userAgent" text,
    "userId" text not null references "user" ("id") on delete cascade
);
create table "account" (
    "id" text not null primary key,
    "accountId" text not null,
    "providerId" text not null,
    "userId" text not null references "user" ("id") on delete cascade,
    "password" text,
    "createdAt" timestamptz default now() not null,
    "updatedAt" timestamptz default now() not null
);
create index "session_userId_idx" on "session" ("userId");
