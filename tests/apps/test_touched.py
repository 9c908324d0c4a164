"""Which apps a change makes CI run."""

import importlib.machinery
import importlib.util
import pathlib

import pytest

path = str(pathlib.Path(__file__).parent / "touched")
loader = importlib.machinery.SourceFileLoader("touched", path)
touched = importlib.util.module_from_spec(importlib.util.spec_from_loader("touched", loader))
loader.exec_module(touched)


@pytest.mark.parametrize(
    ("changed", "presets"),
    [
        ("sql/sweep.sql", None),
        ("migrations/V1__tables.sql", None),
        ("src/settings/presets/mod.rs", None),
        ("src/codec/path.rs", None),
        ("src/codec/php/mod.rs", {"symfony", "laravel"}),
        ("src/codec/rails.rs", {"rails"}),
        ("src/codec/marshal/items.rs", {"rails"}),
        ("tests/apps/test_apps.py", None),
        ("tests/apps/install", None),
        ("tests/apps/laravel/app.php", {"laravel"}),
        ("tests/apps/symfony/app.php", {"symfony"}),
        ("tests/apps/django/app.py", {"django-user-sessions", "django-qsessions"}),
        ("tests/apps/codecs/sessions.php", set()),
        ("tests/apps/run", None),
        ("tests/apps/touched", set()),
        (".ci/run", set()),
        ("packaging/build", set()),
        ("src/codec/gob.rs", {"scs"}),
        ("README.md", set()),
        ("docs/limits.md", set()),
        ("tests/daemon/revoke/age.rs", set()),
    ],
)
def test_what_apps_share_touches_all_and_an_apps_own_touches_it(changed, presets):
    assert touched.presets_of(changed, "HEAD") == presets


@pytest.mark.parametrize(
    ("paths", "some", "decoders"),
    [
        (None, "laravel rails-json symfony-int", True),
        (["sql/sweep.sql", "README.md"], "laravel rails-json symfony-int", False),
        (["src/codec/laravel.rs"], "laravel", True),
        (["tests/apps/codecs/sessions.php"], "", True),
        (["README.md"], "", False),
        ([], "", False),
    ],
)
def test_the_apps_of_a_change_and_whether_decoders_are_tried_as_well(paths, some, decoders):
    apps, found = touched.touched("HEAD", paths)
    assert found == decoders
    names = {app.name for app in apps}
    assert set(some.split()) <= names
    assert bool(names) == bool(some)


def test_a_commit_that_is_not_here_means_all():
    assert touched.paths_since(None) is None
    assert touched.paths_since("0" * 40) is None
    assert touched.paths_since("HEAD") is not None


def test_what_ci_ran_on_last_is_compared_with_where_it_says_so(monkeypatch):
    monkeypatch.setenv("SINCE", "that one")
    assert touched.base() == "that one"


def test_only_what_is_said_of_a_preset_counts():
    said = "# A comment.\n[a.site]\nuser_table = 'x'\n[a.revoke]\ngrace = 1\n# Of b.\n[b.site]\nuser_table = 'y'\n"
    before = touched.blocks(said)
    assert set(before) == {"a", "b"}
    assert touched.blocks(said.replace("A comment", "Another").replace("Of b", "About b")) == before
    changed = touched.blocks(said.replace("grace = 1", "grace = 2"))
    assert (changed["a"] != before["a"], changed["b"] == before["b"]) == (True, True)
