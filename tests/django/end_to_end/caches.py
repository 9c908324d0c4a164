"""Servers of caches for the time of a test, what Django is told of them, and what session-reaper is told."""

import contextlib
import os
import pathlib
import random
import shutil
import socket

import pymemcache
import redis
from process import Process, clean_environment

# Where tests/install unpacks them.
UNPACKED = pathlib.Path(__file__).parents[3] / "target/programs/starters"
# What Django calls a session's entry, behind the prefix and the version of the cache.
ENTRY = "django.contrib.sessions.cached_db"


def find(program):
    path = os.pathsep.join([os.environ.get("PATH", ""), str(UNPACKED)])
    found = shutil.which(program, path=path)
    assert found, f"{program} is not here: run `tests/install all`"
    return found


def free_port():
    """None of those that the system gives to whoever connects somewhere in the meantime."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(arguments, port, log):
    process = Process(arguments, log, env=clean_environment())

    def accepts():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True

    process.wait_until(accepts, "accepting connections")
    return process


def start_redis(directory):
    port = free_port()
    arguments = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
    return start(arguments, port, directory / "redis.log"), port


class RedisCache:
    """Django's own, on one server."""

    prefix, version = "", 1

    def __init__(self, site):
        self.server, port = start_redis(site.directory)
        self.url = f"redis://127.0.0.1:{port}/1"
        self.client = redis.Redis.from_url(self.url)

    def django(self):
        return {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": self.url,
            "KEY_PREFIX": self.prefix,
            "VERSION": self.version,
        }

    def reaper(self):
        return f"""
            kind = "redis"
            servers = ["{self.url}"]
            key_prefix = "{self.prefix}"
            version = {self.version}"""

    def holds(self, session_key):
        return bool(self.client.exists(f"{self.prefix}:{self.version}:{ENTRY}{session_key}"))

    def forget(self, session_key):
        """As under memory pressure."""
        assert self.client.delete(f"{self.prefix}:{self.version}:{ENTRY}{session_key}") == 1

    def stop(self):
        self.client.close()
        self.server.stop()


class PrefixedRedisCache(RedisCache):
    """The same where several sites share a server."""

    prefix, version = "shop", 7


class MemcachedCache:
    """Two servers, among which the client divides the entries by their keys."""

    def __init__(self, site):
        self.ports = [free_port(), free_port()]
        # It runs as root only when it is told so.
        command = [find("memcached"), "-l", "127.0.0.1", "-U", "0", "-u", "root", "-m", "64"]
        self.servers = [
            start([*command, "-p", str(port)], port, site.directory / f"memcached-{port}.log") for port in self.ports
        ]
        self.clients = [pymemcache.Client(("127.0.0.1", port)) for port in self.ports]

    def django(self):
        return {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": [f"127.0.0.1:{port}" for port in self.ports],
        }

    def reaper(self):
        return f"""
            kind = "memcached"
            servers = [{", ".join(f'"127.0.0.1:{port}"' for port in self.ports)}]"""

    def holders(self, session_key):
        return [client for client in self.clients if client.get(f":1:{ENTRY}{session_key}") is not None]

    def holds(self, session_key):
        return bool(self.holders(session_key))

    def forget(self, session_key):
        (holder,) = self.holders(session_key)
        holder.delete(f":1:{ENTRY}{session_key}", noreply=False)

    def stop(self):
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.stop()


class TableCache:
    """Django's database cache, in the same database."""

    def __init__(self, site):
        self.site = site

    def django(self):
        return {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache"}

    def reaper(self):
        return 'kind = "table"\ntable = "django_cache"'

    def holds(self, session_key):
        entry = f":1:{ENTRY}{session_key}"
        return self.site.value("select exists (select from django_cache where cache_key = %s)", entry)

    def forget(self, session_key):
        deleted = self.site.db.execute("delete from django_cache where cache_key = %s", [f":1:{ENTRY}{session_key}"])
        assert deleted.rowcount == 1

    def stop(self):
        pass


CACHES = {
    "redis": RedisCache,
    "redis_prefixed": PrefixedRedisCache,
    "memcached": MemcachedCache,
    "table": TableCache,
}
