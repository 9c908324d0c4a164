"""Who else ends sessions when passwords change: each in a database of its own, with the same users, sessions and links.

What they ask of the server is the same for all: a commit of theirs does not wait for the disk (synchronous_commit = off),
as session-reaper's does not, because what a crash loses is asked for again.

Graphile Worker, pg-boss and the client that both use (pg) are MIT, pg_cron has PostgreSQL's licence. Nothing of theirs is shipped.
"""

import dataclasses
import pathlib
import shutil
import sys

import bare_loop
from process import Process, clean_environment

HERE = pathlib.Path(__file__).parent
INSTALLED = HERE.parents[1] / "target" / "apps-node" / "contenders"


@dataclasses.dataclass(frozen=True)
class Contender:
    name: str
    label: str
    settings: str
    # What is still to be done, or to be tidied up, as a query that says true.
    is_busy: str
    # What the queue is, for emptying it.
    queue: str

    def command(self, site, *more):
        copied = site.directory / "contenders"
        if not copied.exists():
            shutil.copytree(HERE / "contenders", copied)
            (copied / "node_modules").symlink_to(INSTALLED / "node_modules")
        return ["node", copied / f"{self.name}.mjs", *more]

    def environment(self, site):
        return clean_environment(**site.server.variables(site.database), PGOPTIONS=bare_loop.SETTINGS)

    def install(self, site):
        installing = Process(
            self.command(site, "install"), site.directory / f"{self.name}.log", env=self.environment(site)
        )
        assert installing.child.wait(timeout=120) == 0, installing.said()

    def start(self, site):
        log = site.directory / f"{self.name}-{len(list(site.directory.iterdir()))}.log"
        running = Process(self.command(site), log, env=self.environment(site))
        try:
            running.wait_until(lambda: "listening" in running.said(), "listening")
        except BaseException:
            running.stop()
            raise
        return running


class BareLoop(Contender):
    def command(self, site, *_):
        return [sys.executable, "-u", pathlib.Path(bare_loop.__file__), site.server.url(site.database)]

    def install(self, site):
        with site.server.connect(site.database, "site") as owner:
            owner.execute(bare_loop.TABLES)


BARE = BareLoop(
    "bare",
    "bare loop",
    "LISTEN, then one prepared DELETE for up to 10,000 rows of an outbox, taken with SKIP LOCKED",
    "select exists (select from outbox)",
    "outbox",
)
GRAPHILE = Contender(
    "graphile_worker",
    "Graphile Worker",
    "0.18.0: add_job() a user in the trigger, 8 jobs at once, localQueue 500, completeJobBatchDelay 0, prepared DELETE a user",
    "select exists (select from graphile_worker._private_jobs)",
    "graphile_worker._private_jobs",
)
PG_BOSS = Contender(
    "pg_boss",
    "pg-boss",
    "12.38.0: a job a user by the trigger, useListenNotify, batchSize 1,000, burstWhenBatchFull, prepared DELETE a batch",
    "select exists (select from pgboss.job where state < 'completed')",
    "pgboss.job",
)


def to_be_had():
    """Those that can run here, and what keeps the others from it."""
    missing = {}
    if not (INSTALLED / "node_modules").is_dir():
        missing = {each.label: "its npm package is not installed (tests/install bench)" for each in (GRAPHILE, PG_BOSS)}
    elif not shutil.which("node"):
        missing = {each.label: "there is no Node.js" for each in (GRAPHILE, PG_BOSS)}
    return [BARE] if missing else [BARE, GRAPHILE, PG_BOSS], missing
