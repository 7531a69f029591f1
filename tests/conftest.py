"""Fixtures: a shared daemon for what leaves no trace, an own daemon for what restarts, kills or configures it."""

import itertools
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from daemon import Daemon

HERE = Path(__file__).resolve().parent
_names = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--leave-out", type=Path, metavar="FILE", help="tests that are not for this machine: 'PATTERN  reason' a line")


def pytest_collection_modifyitems(config, items):
    """Deselects what the file of --leave-out lists. A pattern that fits no test is a mistake."""
    file = config.getoption("--leave-out")
    if file is None:
        return
    lines = [line for line in file.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    patterns = [line.split(maxsplit=1)[0] for line in lines]
    matched, kept, left = set(), [], []
    for item in items:
        name = f"{item.path.name}::{item.name}"
        hits = [pattern for pattern in patterns if fnmatchcase(name, pattern if "::" in pattern else f"{pattern}::*")]
        matched.update(hits)
        (left if hits else kept).append(item)
    # Only where whole files were collected can a pattern be told to fit nothing.
    collected = {item.path.name for item in items}
    unknown = {pattern for pattern in set(patterns) - matched if pattern.split("::")[0] in collected}
    unknown |= {pattern for pattern in patterns if not (HERE / pattern.split("::")[0]).exists()}
    if unknown and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"{file}: no test fits {', '.join(sorted(unknown))}")
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("shared")).start()
    yield daemon
    daemon.stop()
    daemon.assert_no_panic()


@pytest.fixture
def daemon(shared_daemon):
    """A running daemon that other tests use too: give collections back."""
    assert shared_daemon.alive(), f"an earlier test brought the daemon down:\n{shared_daemon.log()[-3000:]}"
    yield shared_daemon
    assert shared_daemon.alive(), f"the daemon is gone:\n{shared_daemon.log()[-3000:]}"


@pytest.fixture
def fresh_name():
    """A collection name that no other test uses."""
    return f"col_{next(_names)}"


@pytest.fixture
def collection(daemon, fresh_name):
    """An empty collection, removed afterwards."""
    assert daemon.ask("/create/collection", collection_name=fresh_name)["err_code"] == 0
    yield fresh_name
    daemon.ask("/delete/collection", collection_name=fresh_name)


@pytest.fixture
def start_daemon(tmp_path):
    """Starts daemons of the test's own: start_daemon(config="[limits]...", development=False, data=..., environment=...)."""
    mine = []

    def start(**options) -> Daemon:
        daemon = Daemon(tmp_path / f"daemon{len(mine)}", **options)
        mine.append(daemon)
        return daemon.start()

    yield start
    for daemon in mine:
        if daemon.alive():
            daemon.stop()


@pytest.fixture(autouse=True)
def no_panic():
    """Whatever a test does to a daemon, its log never holds a panic."""
    yield
    for daemon in Daemon.started:
        daemon.assert_no_panic()
    Daemon.started[:] = [daemon for daemon in Daemon.started if daemon.alive()]
