"""Databases with the same users and sessions: in one session-reaper works, in each of the others a contender."""

import contextlib
import itertools
import subprocess
import time

import bare_loop
from bench_site import REAPER, BenchSite

SESSIONS_EACH = 3


class Sites:
    @classmethod
    @contextlib.contextmanager
    def opened(cls, server, users, directory, contenders):
        with contextlib.ExitStack() as leaving:
            reaped = leaving.enter_context(BenchSite.opened(server, "reaped", directory))
            fill(reaped, users)
            reaped.db.close()
            sites = cls(reaped, {}, users)
            sites.looking = leaving.enter_context(server.connect("postgres"))
            for each in contenders:
                sites.others[each] = _copy(leaving, server, each.name, directory)
            reaped.db = leaving.enter_context(server.connect("reaped"))
            sites._link()
            leaving.callback(sites.stop)
            for each in contenders:
                sites.start(each)
            sites.daemon = leaving.enter_context(reaped.daemon(SESSION_REAPER_LOG_LEVEL="warn"))
            yield sites

    def __init__(self, reaped, others, users):
        self.reaped, self.others, self.users = reaped, others, users
        self.daemon = None
        self.running = {}
        self._next_user = 0

    @property
    def bare(self):
        return next(site for each, site in self.others.items() if each.name == "bare")

    def all(self):
        """Each with its name and the table of its links."""
        plain = [(each.name, site, "plain_link") for each, site in self.others.items()]
        return [*plain, ("reaped", self.reaped, "session_reaper.user_session")]

    def take_users(self, count):
        """Users whose sessions nobody has ended yet, the same ones in all databases."""
        first = self._next_user + 1
        self._next_user += count
        assert self._next_user <= self.users, "there are not so many users"
        return list(range(first, first + count))

    def start(self, contender):
        self.running[contender] = contender.start(self.others[contender])

    def stop(self):
        for each in list(self.running):
            self.running.pop(each).stop()

    @contextlib.contextmanager
    def without_worker(self, name):
        """What a contender is asked for meanwhile it is never to do. session-reaper stays, because without it the change
        itself would end the sessions."""
        contender = next((each for each in self.others if each.name == name), None)
        if contender:
            self.running.pop(contender).stop()
        yield
        if contender:
            self.others[contender].tables(f"truncate {contender.queue}")
            self.start(contender)

    def _link(self):
        self.reaped.install()
        link_all(self.reaped, self.users * SESSIONS_EACH)
        for each, site in self.others.items():
            with site.server.connect(site.database, "site") as owner:
                owner.execute(bare_loop.LINK_TABLE)
                owner.execute(bare_loop.LINK)
            each.install(site)
        self.tidy()

    def wait_until_settled(self):
        """What comes after the end is not to be in the way of the next contender."""
        for each, site in self.others.items():
            if each in self.running:
                wait_until(site, f"not ({each.is_busy})")
        wait_until(self.reaped, "not exists (select from session_reaper.revocation where state <> 'settled')")

    def settle_down(self):
        """Has everybody begin anew with nothing left to read, to vacuum or to write."""
        wait_until(self.reaped, "not exists (select from session_reaper.pending_link)", 0.1)
        self.tidy()

    def tidy(self):
        for site in [self.reaped, *self.others.values()]:
            site.tables("vacuum analyze")
        self.reaped.tables("checkpoint")


def _copy(leaving, server, name, directory):
    server.create_database(name, template="reaped")
    leaving.callback(server.drop_database, name)
    site = BenchSite(server, name, directory)
    site.db = leaving.enter_context(server.connect(name))
    return site


def wait_until(site, condition, every_s=0.01, most_s=600):
    begun = time.monotonic()
    while not site.value(f"select {condition}"):
        assert time.monotonic() < begun + most_s, f"{site.database}: not yet {condition}"
        time.sleep(every_s)


def link_all(site, expected):
    subprocess.run([REAPER, "link"], env=site.reaper_environment(), check=True, capture_output=True, timeout=600)
    linked = site.value("select count(*) from session_reaper.user_session")
    assert linked == expected, f"{linked} sessions are linked"


def in_turn(things, number):
    """Each round begins with another one, so that none always has the warmer caches."""
    things = list(things)
    start = number % len(things)
    return list(itertools.islice(itertools.cycle(things), start, start + len(things)))


# What Django keeps in a session after a login, as its own encoder writes it; only the signature is none, which nobody asks for.
DATA = """
translate(encode(convert_to(format(
    '{"_auth_user_id": "%s", "_auth_user_backend": "django.contrib.auth.backends.ModelBackend", "_auth_user_hash": "%s"}',
    u, md5(u::text) || md5(n::text)), 'UTF8'), 'base64'), E'+/=\\n', '-_') || ':1xVeDd:' || md5(u::text) || md5(n::text)
"""


def fill(site, users):
    site.add_users(users)
    add_sessions(site, 1, users, SESSIONS_EACH)
    site.tables("vacuum analyze")


def add_sessions(site, first, last, each, but=0):
    """The number of its user stands in each key. So many as a user has already are left out."""
    site.db.execute(
        "insert into django_session (session_key, session_data, expire_date)"
        f" select 's-' || u || '-' || n || '-' || left(md5(u::text || n), 16), {DATA}, now() + interval '14 days'"
        f" from generate_series({first}, {last}) u cross join generate_series({but + 1}, {each}) n order by md5(u::text || n)"
    )
