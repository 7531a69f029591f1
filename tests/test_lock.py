"""One daemon a data folder, also when somebody takes the lock file away."""

import pytest

from contract import assert_batch, assert_error
from daemon import wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, portrait


@pytest.fixture
def two(start_daemon):
    """A daemon with one person, and another one that was started on the same folder after the lock was removed."""
    first = start_daemon()
    first.ask("/create/collection", collection_name="staff")
    assert first.insert("staff", ("obama", portrait(OBAMA)))["success_num"] == 1
    (first.data / "gallery/LOCK").unlink()
    return first, start_daemon(data=first.data)


def test_the_first_of_two_daemons_writes_nothing_any_more(two):
    """Every change is 1001 and says why; searches go on. The second one is not disturbed, and what it was told stays."""
    first, second = two
    assert second.insert("staff", ("biden", portrait(BIDEN)))["success_num"] == 1
    refused = first.insert("staff", ("eileen", portrait(ASTRONAUT)))
    assert_error(refused, 1001)
    assert_batch(refused, stored=0)
    assert "LOCK" in refused["detail"] and "restart" in refused["detail"]
    for path, fields in (
        ("/delete/id", {"collection_name": "staff", "target_id": "obama"}),
        ("/clear/collection", {"collection_name": "staff"}),
        ("/delete/collection", {"collection_name": "staff"}),
        ("/create/collection", {"collection_name": "more"}),
    ):
        answer = first.ask(path, **fields)
        assert_error(answer, 1001)
        assert "LOCK" in answer["detail"], answer
    assert set(first.search("staff", portrait(OBAMA))) == {"obama"}
    assert "LOCK was removed or replaced" in first.log()
    first.stop()
    second.restart()
    assert set(second.search("staff", portrait(OBAMA))) == {"obama", "biden"}
    assert not list(second.data.rglob("quarantine"))


def test_it_is_told_before_anybody_wants_to_write(two):
    first, _ = two
    wait_until(lambda: "LOCK was removed or replaced" in first.log(), 30, "an error in the log")
    assert first.log().count("LOCK was removed or replaced") == 1


def test_a_lock_file_that_was_replaced_counts_as_lost(start_daemon):
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    lock = daemon.data / "gallery/LOCK"
    other = lock.with_name("LOCK.restored")
    other.write_text(lock.read_text())
    other.rename(lock)
    assert_error(daemon.insert("staff", ("obama", portrait(OBAMA))), 1001)
    daemon.restart()
    assert daemon.insert("staff", ("obama", portrait(OBAMA)))["success_num"] == 1
