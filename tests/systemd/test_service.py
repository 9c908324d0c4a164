"""The service on a machine that systemd has booted, as docs/installing.md sets it up."""

import re

from conftest import make_site
from docs import blocks
from machine import wait_until


def change_password(machine, database="mysite"):
    """One session of a user, and a new password: returns whether the session goes."""
    machine.sql("""
        insert into django_session values ('k' || floor(random() * 1e12), 'x', now() + interval '1 day');
        select session_reaper.link_session(max(session_key), 1) from django_session;
        update auth_user set password = md5(random()::text) where id = 1;
    """, database)
    return wait_until("the session is gone", lambda: machine.sql("select count(*) from django_session", database) == "0")


def test_the_docs_installation_ends_a_session_when_the_password_changes(machine):
    assert machine.unit("ActiveState") == "active"
    assert machine.unit("StatusText") == "serving"
    change_password(machine)
    assert "named by the file database_url beside the settings" in machine.run("session-reaper --site mysite config")
    assert "served     yes" in machine.run("session-reaper --site mysite status")


def test_it_is_no_more_exposed_than_what_was_measured(machine):
    table = machine.run("systemd-analyze security --no-pager session-reaper@mysite")
    exposure = re.search(r"Overall exposure level for session-reaper@mysite\.service: ([0-9.]+)", table)
    assert float(exposure[1]) <= 1.2, table


def test_a_frozen_daemon_is_restarted_by_the_watchdog(machine):
    restarts = int(machine.unit("NRestarts"))
    machine.run("mkdir -p /run/systemd/system/session-reaper@mysite.service.d")
    machine.run("printf '[Service]\\nWatchdogSec=12s\\nTimeoutStopSec=2s\\n' > /run/systemd/system/session-reaper@mysite.service.d/watchdog.conf")
    try:
        machine.run("systemctl daemon-reload && systemctl restart session-reaper@mysite")
        machine.serves()
        machine.run(f"kill -STOP {machine.unit('MainPID')}")
        wait_until("it was restarted", lambda: int(machine.unit("NRestarts")) > 0)
        machine.serves()
        change_password(machine)
    finally:
        machine.run("rm -r /run/systemd/system/session-reaper@mysite.service.d; systemctl daemon-reload; systemctl restart session-reaper@mysite")


def test_a_killed_daemon_comes_back(machine):
    before = machine.unit("MainPID")
    machine.run(f"kill -KILL {before}")
    wait_until("another process runs", lambda: machine.unit("MainPID") not in ("0", before))
    machine.serves()
    change_password(machine)


def test_a_database_that_is_down_keeps_no_start_waiting_and_flaps_nothing(machine):
    machine.run(f"systemctl stop session-reaper@mysite && systemctl stop {machine.server()}")
    try:
        machine.run("timeout 30 systemctl start session-reaper@mysite")
        assert machine.unit("ActiveState") == "active"
        wait_until("it says what it waits for", lambda: machine.unit("StatusText").startswith("waiting for the database: "))
        assert machine.unit("NRestarts") == "0"
    finally:
        machine.run(f"systemctl start {machine.server()}")
    machine.serves()
    assert machine.unit("NRestarts") == "0"
    change_password(machine)


def test_a_database_that_is_down_keeps_no_boot_waiting(machine):
    server = machine.server()
    machine.run(f"systemctl mask {server}")
    machine.power_off()
    # Returns when the machine is up.
    machine.boot()
    try:
        assert machine.unit("ActiveState") == "active"
        wait_until("it says what it waits for", lambda: machine.unit("StatusText").startswith("waiting for the database: "))
    finally:
        machine.run(f"systemctl unmask {server}; systemctl start {server}")
    machine.serves()
    change_password(machine)


def test_the_timer_writes_the_figures_where_node_exporter_reads_them(machine):
    # As Debian's package prometheus-node-exporter leaves it.
    machine.run("groupadd --system prometheus; install -d -m 755 /var/lib/prometheus/node-exporter")
    machine.run("systemctl enable --now session-reaper-metrics@mysite.timer")
    written = "/var/lib/prometheus/node-exporter/session_reaper_mysite.prom"
    wait_until("they are written", lambda: machine.try_to(f"test -s {written}").returncode == 0)
    assert "session_reaper_served 1" in machine.run(f"cat {written}", user="nobody")
    machine.run("systemctl disable --now session-reaper-metrics@mysite.timer")


def test_a_restart_of_the_server_writes_few_lines_and_restarts_nothing(machine):
    since = machine.run("date +'%F %T'").strip()
    before = machine.unit("MainPID")
    machine.run(f"systemctl stop {machine.server()}")
    wait_until("it has noticed", lambda: machine.unit("StatusText").startswith("not listening: "))
    machine.run(f"sleep 20; systemctl start {machine.server()}")
    machine.serves()
    assert machine.unit("MainPID") == before
    said = machine.journal(options=f"--since='{since}'").splitlines()
    assert len(said) <= 12, said
    assert not [line for line in said if "http" in line or "deadpool" in line], said


def test_a_fatal_error_at_the_start_is_an_error_in_the_journal_and_in_the_status(machine):
    since = machine.run("date +'%F %T'").strip()
    machine.run("sed -i '1i [listn]' /etc/session-reaper/mysite.toml")
    try:
        assert machine.try_to("systemctl restart session-reaper@mysite").returncode != 0
        errors = machine.entries(options=f"--since='{since}' --priority=err")
        said = [entry["MESSAGE"] for entry in errors if entry.get("SYSLOG_IDENTIFIER") == "session-reaper"]
        assert any("`listen`" in line for line in said), errors
        assert "listen" in machine.unit("StatusText")
    finally:
        machine.run("sed -i 1d /etc/session-reaper/mysite.toml; systemctl restart session-reaper@mysite")


def test_the_journal_says_why_and_not_in_fields_alone(machine):
    since = machine.run("date +'%F %T'").strip()
    machine.sql('revoke update on session_reaper.revocation from "session-reaper"')
    try:
        machine.sql("""
            insert into django_session values ('why', 'x', now() + interval '1 day');
            select session_reaper.link_session('why', 1);
            update auth_user set password = md5(random()::text) where id = 1;
        """)
        told = lambda: [entry for entry in machine.entries(options=f"--since='{since}'") if "permission denied" in entry["MESSAGE"]]
        wait_until("the message itself has the reason", told)
        entry = told()[0]
        assert entry["PRIORITY"] in "34" and "permission denied" in entry["F_ERROR"], entry
    finally:
        machine.sql('grant update on session_reaper.revocation to "session-reaper"')
    wait_until("the session is gone", lambda: machine.sql("select count(*) from django_session") == "0")


def test_a_reload_checks_the_file_first_and_fails_visibly(machine):
    before = machine.unit("MainPID")
    machine.run("sed -i '$a [listen]\\nheartbeat_s = 4' /etc/session-reaper/mysite.toml; systemctl reload session-reaper@mysite")
    wait_until("the settings are read", lambda: "settings reloaded" in machine.journal())
    machine.run("sed -i 's/heartbeat_s/heartbaet_s/' /etc/session-reaper/mysite.toml")
    assert machine.try_to("systemctl reload session-reaper@mysite").returncode != 0
    assert "heartbeat_s" in machine.journal()
    machine.run("sed -i '/listen/,$d' /etc/session-reaper/mysite.toml; systemctl reload session-reaper@mysite")
    assert machine.unit("MainPID") == before


def test_a_missing_file_of_an_instance_is_a_sentence(machine):
    ended = machine.try_to("systemctl start session-reaper@nosuch")
    assert ended.returncode != 0 and "ssertion failed" in ended.stderr, ended.stderr
    assert "/etc/session-reaper/nosuch.toml" in machine.run("journalctl --no-pager --unit=session-reaper@nosuch")


def test_a_second_instance_serves_over_the_socket_without_any_network(machine):
    make_site(machine, "shop")
    for block in blocks("socket"):
        machine.run(block)
    machine.run("DATABASE_URL='postgresql://shop:owner-secret@localhost/shop' session-reaper --site shop migrate")
    machine.run("systemctl enable --now session-reaper@shop")
    machine.serves("shop")
    change_password(machine, "shop")
    assert "served     yes" in machine.run("runuser -u session-reaper -- session-reaper --site shop status || true")
    links = machine.run(f"nsenter --target={machine.unit('MainPID', 'shop')} --net cat /proc/net/dev")
    assert [line.split(":")[0].strip() for line in links.splitlines()[2:]] == ["lo"]


def test_a_credential_is_found_by_the_service_and_by_hand(machine):
    machine.run("""
        echo not-the-sites-key | install -m 600 /dev/stdin /etc/session-reaper/mysite.secret_key
        printf '[link]\\nsecret_key_file = "credential:secret_key"\\n' >> /etc/session-reaper/mysite.toml
        mkdir -p /run/systemd/system/session-reaper@mysite.service.d
        printf '[Service]\\nLoadCredential=secret_key:/etc/session-reaper/%%i.secret_key\\n' > /run/systemd/system/session-reaper@mysite.service.d/key.conf
        systemctl daemon-reload; systemctl restart session-reaper@mysite""")
    try:
        machine.serves()
        assert "credential:secret_key" in machine.run("session-reaper --site mysite config")
        # A check that cannot read the service's credentials still lets a reload through.
        machine.run("systemctl reload session-reaper@mysite")
    finally:
        machine.run("""
            rm -r /run/systemd/system/session-reaper@mysite.service.d; sed -i '/link/,$d' /etc/session-reaper/mysite.toml
            systemctl daemon-reload; systemctl restart session-reaper@mysite""")


def test_no_secret_is_in_the_journal_or_in_what_systemctl_shows(machine):
    change_password(machine)
    said = machine.run("journalctl --no-pager --output=export --unit='session-reaper*'; systemctl show session-reaper@mysite; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    for secret in ("daemon-secret", "owner-secret"):
        assert secret not in said
