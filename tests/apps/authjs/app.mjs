// Auth.js in Express with its PostgreSQL adapter, as their documentation sets them up. Who logs in follows a link that is
// sent by mail: there are no passwords. Here the link goes to whoever asks for it.

import { randomBytes } from "node:crypto";
import { ExpressAuth, getSession } from "@auth/express";
import PostgresAdapter from "@auth/pg-adapter";
import express from "express";
import pg from "pg";

const pool = new pg.Pool();
// As the adapter's documentation makes them, and the index that session-reaper asks for.
await pool.query(`
  create table if not exists verification_token
    (identifier text not null, expires timestamptz not null, token text not null, primary key (identifier, token));
  create table if not exists accounts
    (id serial, "userId" integer not null, type varchar(255) not null, provider varchar(255) not null,
    "providerAccountId" varchar(255) not null, refresh_token text, access_token text, expires_at bigint,
    id_token text, scope text, session_state text, token_type text, primary key (id));
  create table if not exists sessions
    (id serial, "userId" integer not null, expires timestamptz not null, "sessionToken" varchar(255) not null,
    primary key (id));
  create table if not exists users
    (id serial, name varchar(255), email varchar(255), "emailVerified" timestamptz, image text, primary key (id));
  create unique index if not exists sessions_token on sessions ("sessionToken");
`);

const links = new Map();
const config = {
  adapter: PostgresAdapter(pool),
  basePath: "/auth",
  secret: randomBytes(32).toString("hex"),
  session: { strategy: "database", maxAge: 3600 },
  trustHost: true,
  providers: [
    {
      id: "mail",
      name: "Mail",
      type: "email",
      maxAge: 600,
      sendVerificationRequest: ({ identifier, url }) => void links.set(identifier, url),
    },
  ],
};

const app = express();
app.use("/auth", ExpressAuth(config));
app.use(express.urlencoded());

app.post("/sign-up", async ({ body: { username } }, response) => {
  await pool.query("insert into users (name, email) values ($1, $2)", [username, `${username}@example.org`]);
  response.send("welcome");
});

// The steps of a browser: Auth.js' form, the mail, and the link in it.
app.post("/login", async ({ body: { username } }, response) => {
  const email = `${username}@example.org`;
  const own = `http://127.0.0.1:${server.address().port}/auth`;
  const csrf = await fetch(`${own}/csrf`);
  const { csrfToken } = await csrf.json();
  await fetch(`${own}/signin/mail`, {
    method: "POST",
    headers: { cookie: cookies(csrf) },
    body: new URLSearchParams({ csrfToken, email }),
    redirect: "manual",
  });
  const followed = await fetch(links.get(email), { redirect: "manual" });
  response.setHeader("set-cookie", followed.headers.getSetCookie());
  response.send(username);
});

function cookies(answer) {
  const set = answer.headers.getSetCookie();
  return set.map((cookie) => cookie.split(";")[0]).join("; ");
}

app.get("/account", async (request, response) => {
  const session = await getSession(request, config);
  response.status(session ? 200 : 401).send(session ? session.user.name : "who are you?");
});

const server = app.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
