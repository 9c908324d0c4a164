// Express with express-session, connect-pg-simple and Passport, as their documentation sets them up.

import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import connectPgSimple from "connect-pg-simple";
import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-local";
import pg from "pg";

const pool = new pg.Pool();
await pool.query(
  "create table if not exists members (id uuid primary key default gen_random_uuid(), name text unique, password_hash text not null)",
);

function hash(password, salt = randomBytes(16).toString("hex")) {
  return `${salt}:${scryptSync(password, salt, 32).toString("hex")}`;
}

function matches(password, stored) {
  return timingSafeEqual(Buffer.from(hash(password, stored.split(":")[0])), Buffer.from(stored));
}

async function findMember(column, value) {
  const { rows } = await pool.query(`select id, name, password_hash from members where ${column} = $1`, [value]);
  return rows[0] ?? false;
}

passport.use(
  new Strategy((name, password, done) =>
    findMember("name", name).then(
      (member) => done(null, member && matches(password, member.password_hash) && member),
      done,
    ),
  ),
);
passport.serializeUser((member, done) => done(null, member.id));
passport.deserializeUser((id, done) => findMember("id", id).then((member) => done(null, member), done));

const app = express();
app.use(
  session({
    store: new (connectPgSimple(session))({ pool, createTableIfMissing: true }),
    secret: randomBytes(32).toString("hex"),
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 3600 * 1000 },
  }),
);
app.use(passport.session());
app.use(express.urlencoded());

app.post("/sign-up", async (request, response) => {
  const { username, password } = request.body;
  await pool.query("insert into members (name, password_hash) values ($1, $2)", [username, hash(password)]);
  response.send("welcome");
});
app.post("/login", passport.authenticate("local"), (request, response) => response.send(request.user.name));
app.get("/account", (request, response) => {
  if (request.isAuthenticated()) response.send(request.user.name);
  else response.status(401).send("who are you?");
});
app.get("/word", (request, response) => response.send(request.session.word ?? ""));
app.post("/word", (request, response) => {
  request.session.word = request.body.word;
  response.send("noted");
});
// A request that is in flight until the gate opens, and writes to its session then.
app.post("/slow-word", async (request, response) => {
  console.log("holding");
  while (!existsSync(process.env.GATE)) await sleep(20);
  request.session.word = request.body.word;
  response.send("noted");
});

const server = app.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
