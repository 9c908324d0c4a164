"""A site that fills up: with users and their sessions, with revocations that are over, with such as are open."""

import contextlib

from change import CHANGE, change_and_wait
from sites import SESSIONS_EACH, add_sessions, fill, link_all, wait_until
from table import spread

LINK = "session_reaper.user_session"
SETTLED = "not exists (select from session_reaper.revocation where state <> 'settled')"
REVOKED = "not exists (select from session_reaper.revocation where state = 'requested')"
# A user is revoked again and again, and of those who are, some are in one transaction.
SETTLED_A_CHANGE = 10


class Growing:
    def __init__(self, site, figures):
        self.site, self.figures = site, figures
        self.users, self._next_user = 0, 1

    def take(self, count):
        """Users whose sessions nobody has ended yet."""
        self._next_user += count
        assert self._next_user <= self.users + 1, "there are not so many users"
        return list(range(self._next_user - count, self._next_user))

    def begin(self, users):
        self.users = users
        fill(self.site, users)
        self.site.install()
        link_all(self.site, users * SESSIONS_EACH)
        self.site.tables("vacuum analyze")

    def fill_up(self, users):
        """To so many. No daemon runs, and nobody has to read what is linked at once."""
        with self._without_triggers():
            self.site.add_users(users - self.users, self.users + 1)
            add_sessions(self.site, self.users + 1, users, SESSIONS_EACH)
            self._link()
        self.users = users
        self.site.tables("vacuum analyze", "checkpoint")

    def give_sessions(self, user, count):
        """So many in all."""
        with self._without_triggers():
            add_sessions(self.site, user, user, count, SESSIONS_EACH)
            self._link()
        self.site.tables("vacuum analyze django_session", f"vacuum analyze {LINK}")

    def _link(self):
        self.site.tables(
            f"insert into {LINK} (session_key, user_id)"
            " select s.session_key, (regexp_match(s.session_key, '-([0-9]+)-'))[1]::integer from django_session s"
            f" where not exists (select from {LINK} l where l.session_key = s.session_key)"
            # A daemon that runs may have read one meanwhile.
            " on conflict do nothing"
        )

    @contextlib.contextmanager
    def _without_triggers(self):
        self.site.tables("set session_replication_role = replica")
        yield
        self.site.tables("reset session_replication_role")

    def settle(self, count):
        """So many revocations that are over, like one that is."""
        like = "select * from session_reaper.revocation where state = 'settled' order by id desc limit 1"
        columns = self.site.value(
            "select string_agg(quote_ident(attname), ', ') from pg_attribute where attnum > 0 and not attisdropped"
            " and attrelid = 'session_reaper.revocation'::regclass and attname not in ('id', 'user_id', 'change_id')"
        )
        self.site.tables(
            "insert into session_reaper.change (xid, begun_at, at, stamps) select '3', now() - n * interval '1 s',"
            f" now() - n * interval '1 s', 3 from generate_series(1, {count // SETTLED_A_CHANGE}) n",
            f"insert into session_reaper.revocation (user_id, change_id, {columns})"
            f" select 1 + (c.id * {SETTLED_A_CHANGE} + n) % {count // SETTLED_A_CHANGE}, c.id, {columns} from ({like}) r,"
            f" session_reaper.change c cross join generate_series(1, {SETTLED_A_CHANGE}) n where c.xid = '3'",
            "vacuum analyze",
            "checkpoint",
        )

    def forget(self):
        """Nothing has ever been revoked. No daemon runs."""
        self.site.tables("truncate session_reaper.revocation, session_reaper.change, session_reaper.horizon cascade")

    @contextlib.contextmanager
    def open_behind_an_idle_transaction(self, count):
        """Their sessions are gone, and they wait for a transaction that was open before."""
        with self.site.server.connect(self.site.database) as idle:
            idle.execute("begin")
            idle.execute("select pg_current_xact_id()")
            self.site.db.execute(CHANGE, ["open", self.take(count)])
            wait_until(self.site, REVOKED)
            yield
            idle.execute("rollback")
        wait_until(self.site, SETTLED)

    def single_changes(self, stage, count, until=SETTLED):
        """In milliseconds, each of one user."""
        name = f"growth {stage}"
        for user in self.take(count):
            self.figures[name].append(change_and_wait(self.site, LINK, [user]) * 1000)
            wait_until(self.site, until)
        self.tell(name, 2)

    def bulk_change(self, name, count):
        """Returns its seconds, and notes what that is for a user, in microseconds."""
        seconds = change_and_wait(self.site, LINK, self.take(count))
        self.figures[name].append(seconds / count * 1e6)
        wait_until(self.site, SETTLED)
        self.tell(name)
        return seconds

    def tell(self, name, digits=1):
        print(f"  {name}: {spread(self.figures[name], digits)}", flush=True)
