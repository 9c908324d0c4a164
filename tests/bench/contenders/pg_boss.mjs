// pg-boss, one job a changed user from the trigger on the users, which inserts it as pg-boss itself does.
//
// It is told of jobs by NOTIFY (useListenNotify, notify), takes up to 1,000 of them at once and the next ones at once when
// there were so many (burstWhenBatchFull), and ends the sessions of all their users by one prepared statement.
import pg from "pg";
import { PgBoss } from "pg-boss";

const QUEUE = "end-sessions";
// The channel is the one that pg-boss derives from the name of its schema.
const TRIGGER = `
create function note_change() returns trigger language plpgsql as $$
begin
    insert into pgboss.job (name, data, policy) values ('${QUEUE}', jsonb_build_object('user_id', new.id), 'standard');
    perform pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), '${QUEUE}');
    return null;
end $$;
create trigger note_change after update of password on auth_user
    for each row when (old.password is distinct from new.password) execute function note_change()`;
const END = {
  name: "end",
  text: "delete from django_session s using plain_link l where l.user_id = any ($1) and s.session_key = l.session_key",
};

const pool = new pg.Pool({ max: 4 });
const boss = new PgBoss({
  host: process.env.PGHOST,
  user: process.env.PGUSER,
  database: process.env.PGDATABASE,
  useListenNotify: true,
});
boss.on("error", (error) => console.error(error));
boss.on("warning", (warning) => console.error(warning));
await boss.start();
if (process.argv[2] === "install") {
  await boss.createQueue(QUEUE, { notify: true });
  await pool.query(TRIGGER);
  await boss.stop();
  await pool.end();
} else {
  await boss.work(QUEUE, { batchSize: 1000, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }, (jobs) =>
    pool.query({ ...END, values: [jobs.map(({ data }) => data.user_id)] }),
  );
  console.log("listening");
}
