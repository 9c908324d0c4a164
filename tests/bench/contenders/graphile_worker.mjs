// Graphile Worker, one job a changed user from the trigger on the users, as its documentation has it.
//
// Its settings are those that its pages on performance name: jobs are fetched a batch at a time (localQueue), completed a
// batch at a time (completeJobBatchDelay), and ended by as many connections as two processors have work for. Each job
// ends the sessions of its user by one prepared statement.
import { run, runMigrations } from "graphile-worker";
import pg from "pg";

const TRIGGER = `
create function note_change() returns trigger language plpgsql as $$
begin
    perform graphile_worker.add_job('end_sessions', json_build_object('user_id', new.id));
    return null;
end $$;
create trigger note_change after update of password on auth_user
    for each row when (old.password is distinct from new.password) execute function note_change()`;
const END = {
  name: "end",
  text: "delete from django_session s using plain_link l where l.user_id = $1 and s.session_key = l.session_key",
};

const pgPool = new pg.Pool({ max: 10 });
await runMigrations({ pgPool });
if (process.argv[2] === "install") {
  await pgPool.query(TRIGGER);
  await pgPool.end();
} else {
  const runner = await run({
    pgPool,
    preset: {
      worker: { concurrentJobs: 8, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
    },
    taskList: {
      end_sessions: ({ user_id }, { withPgClient }) =>
        withPgClient((client) => client.query({ ...END, values: [user_id] })),
    },
  });
  console.log("listening");
  await runner.promise;
}
