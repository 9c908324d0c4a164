"""What apt and dpkg do with the package."""

import shutil

from docs import blocks
from machine import wait_until


def test_the_package_brings_the_manual_and_completions(machine):
    for path in ("/usr/share/man/man1/session-reaper.1.gz", "/usr/share/man/man1/session-reaper-revoke.1.gz",
                 "/usr/share/bash-completion/completions/session-reaper", "/usr/share/zsh/vendor-completions/_session-reaper",
                 "/usr/share/fish/vendor_completions.d/session-reaper.fish"):
        # minbase excludes nothing, but a machine may.
        machine.run(f"test -s {path}")
    assert "session-reaper" in machine.run("getent passwd session-reaper")
    machine.run("systemd-analyze verify --man=no session-reaper@mysite.service session-reaper.target")


def test_an_upgrade_restarts_every_instance_that_runs_and_keeps_what_was_set(machine):
    before = machine.unit("MainPID")
    settings = machine.run("cat /etc/session-reaper/mysite.toml")
    for block in blocks("upgrade"):
        machine.run(f"cd /root; {block}")
    wait_until("it was restarted", lambda: machine.unit("MainPID") not in ("0", before))
    machine.serves()
    assert machine.run("cat /etc/session-reaper/mysite.toml") == settings


def test_stopping_the_target_stops_every_instance_and_a_boot_starts_them(machine):
    machine.run("systemctl stop session-reaper.target")
    assert machine.unit("ActiveState") == "inactive"
    machine.power_off()
    machine.boot()
    machine.serves()


def test_removing_keeps_the_settings_and_purging_leaves_nothing(machine, deb):
    machine.run("apt-get remove -y session-reaper")
    assert machine.try_to("pgrep -f 'session-reaper run'").returncode != 0
    machine.run("test -s /etc/session-reaper/mysite.database_url")
    shutil.copy(deb, machine.tree / "root")
    machine.run("cd /root; apt-get install -y ./session-reaper_*.deb")
    # It was enabled, and still is.
    machine.run("systemctl start session-reaper.target")
    machine.serves()
    for block in blocks("remove"):
        machine.run(block)
    left = machine.run("find /etc /usr /var/lib/systemd -name '*session-reaper*' -not -path '*/dpkg/*'").split()
    assert left == [], left
    assert machine.sql("select count(*) from pg_namespace where nspname = 'session_reaper'") == "0"
    machine.sql("update auth_user set password = 'x'")
    machine.run("cd /root; apt-get install -y ./session-reaper_*.deb")
    for block in blocks("install")[1:]:
        machine.try_to(f"cd /root; {block}")
