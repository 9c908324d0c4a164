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
import { WebSocketServer } from "ws";
import { closeWithTheirSessions } from "./sockets.mjs";

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
const sessions = session({
  store: new (connectPgSimple(session))({ pool, createTableIfMissing: true }),
  secret: randomBytes(32).toString("hex"),
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 3600 * 1000 },
});
app.use(sessions);
app.use(passport.session());
app.use(express.urlencoded());

app.post("/sign-up", async (request, response) => {
  const { username, password } = request.body;
  await pool.query("insert into members (name, password_hash) values ($1, $2)", [username, hash(password)]);
  response.send("welcome");
});
app.post("/login", passport.authenticate("local"), (request, response) => response.send(request.user.name));
// The session that changes the password stays.
app.post("/password", async (request, response) => {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("select set_config('session_reaper.keep_session', $1, true)", [request.sessionID]);
    const changed = [hash(request.body.password), request.user.id];
    await client.query("update members set password_hash = $1 where id = $2", changed);
    await client.query("commit");
    client.release();
  } catch (error) {
    client.release(error);
    throw error;
  }
  response.send("changed");
});
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

const sockets = new WebSocketServer({ noServer: true });
const look = closeWithTheirSessions(sockets.clients, pool);

function open(request, stream, head) {
  sessions(request, {}, () => {
    const userId = request.session?.passport?.user;
    if (!userId) return stream.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
    sockets.handleUpgrade(request, stream, head, async (socket) => {
      Object.assign(socket, { sessionId: request.sessionID, userId });
      socket.on("message", (text) => socket.send(`${text}, ${userId}`));
      // Only now, so that nothing ends unheard in between.
      await look([socket]).catch(() => socket.close(1011));
    });
  });
}

const server = app.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
server.on("upgrade", open);
