// better-auth with its PostgreSQL adapter, its own handler over HTTP, and the tables that its own migration makes; where
// REDIS_URL says so, with Redis as secondaryStorage in front of the table.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import pg from "pg";
import { createClient } from "redis";

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address();

async function inFront() {
  if (!process.env.REDIS_URL) return {};
  const redis = createClient({ socket: { path: process.env.REDIS_URL.replace("unix://", "") } });
  await redis.connect();
  return {
    secondaryStorage: {
      get: (key) => redis.get(key),
      set: (key, value, ttl) => redis.set(key, value, ttl ? { EX: ttl } : {}),
      delete: (key) => redis.del(key),
    },
  };
}

const auth = betterAuth({
  ...(await inFront()),
  baseURL: `http://127.0.0.1:${port}`,
  secret: randomBytes(32).toString("hex"),
  database: new pg.Pool(),
  emailAndPassword: { enabled: true, autoSignIn: false },
  session: { expiresIn: 3600, storeSessionInDatabase: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
await (await getMigrations(auth.options)).runMigrations();

const handle = toNodeHandler(auth);
server.on("request", async (request, response) => {
  if (request.url !== "/account") return handle(request, response);
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  response.statusCode = found ? 200 : 401;
  response.end(found ? found.user.name : "who are you?");
});
console.log(`listening on ${port}`);
