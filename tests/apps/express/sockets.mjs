// Closes sockets when their session ends. With ws, pg and the table of connect-pg-simple.

import pg from "pg";

/**
 * `sockets` is the set of open ones, such as the `clients` of a WebSocketServer. Each knows its `sessionId` and its
 * `userId`.
 */
export function closeWithTheirSessions(sockets, pool) {
  async function look(some) {
    const ids = some.map((socket) => socket.sessionId);
    const { rows } = await pool.query("select sid from session where sid = any($1) and expire > now()", [ids]);
    const alive = new Set(rows.map((row) => row.sid));
    for (const socket of some) if (!alive.has(socket.sessionId)) socket.close(4401);
  }

  // A connection of its own, and not through a pooler in transaction mode, which would deliver to somebody else.
  async function listen() {
    const client = new pg.Client({ application_name: "sockets", query_timeout: 10_000 });
    // A connection that is dead says nothing, either.
    const heartbeat = setInterval(() => client.query("select 1").catch(startOver), 30_000);
    let isOver = false;
    function startOver() {
      if (isOver) return;
      isOver = true;
      clearInterval(heartbeat);
      client.end().catch(() => {});
      setTimeout(listen, 1000);
    }
    client.on("error", startOver).on("end", startOver);
    client.on("notification", ({ payload }) => {
      const { user } = JSON.parse(payload);
      // Everybody's sessions, or one that nobody had linked to a user, has none.
      const concerned = [...sockets].filter((socket) => user === null || socket.userId === user);
      look(concerned).catch(startOver);
    });
    try {
      await client.connect();
      await client.query("listen session_revoked");
      // Nobody listened until now.
      await look([...sockets]);
    } catch {
      startOver();
    }
  }

  listen();
  return look;
}
