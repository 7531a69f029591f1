"""1001 Database error: a full disk and damaged files. What was acknowledged stays, and the daemon heals by itself."""

import os
import resource
import shutil
import subprocess

import pytest

from contract import assert_batch, assert_error
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, portrait


def largest_file(folder) -> int:
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)


def assert_refuses_and_loses_nothing(daemon):
    """While no face can be written: insert and update answer 1001 with their lists, searches answer as before."""
    for answer in (
        daemon.insert("face_col", ("biden", portrait(BIDEN))),
        daemon.update("face_col", ("obama", portrait(BIDEN))),
    ):
        assert_error(answer, 1001)
        assert_batch(answer, stored=0)
    found = daemon.search("face_col", portrait(OBAMA))
    assert list(found) == ["obama"] and found["obama"] >= 0.999
    assert daemon.features("face_col") == 1


def assert_healed(daemon):
    """When there is room again, writing works without a restart, and a restart finds it all."""
    assert daemon.insert("face_col", ("biden", portrait(BIDEN)))["success_num"] == 1
    assert daemon.ask("/create/collection", collection_name="later")["err_code"] == 0
    for _ in range(2):
        assert daemon.features("face_col") == 2
        assert set(daemon.search("face_col", portrait(OBAMA))) == {"obama", "biden"}
        assert {row["collection_name"] for row in daemon.status()} == {"face_col", "later"}
        daemon.restart()


@pytest.mark.parametrize("spare", [0, 7, 100])
def test_writes_that_stop_half_way(start_daemon, spare):
    """The disk takes `spare` bytes of the next write and no more, as a disk does that fills up in the middle of it."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    unlimited = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    full = largest_file(daemon.data) + spare
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (full, unlimited[1]))
    assert_refuses_and_loses_nothing(daemon)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert_healed(daemon)


def test_killed_while_the_disk_was_full(start_daemon):
    """A torn record at the end of the journal is cut off at the next start; what was acknowledged before is there."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.insert("face_col", ("obama", portrait(OBAMA)))
    unlimited = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (largest_file(daemon.data) + 50, unlimited[1]))
    assert_error(daemon.insert("face_col", ("biden", portrait(BIDEN))), 1001)
    daemon.kill()
    daemon.start()
    assert list(daemon.search("face_col", portrait(OBAMA))) == ["obama"]
    assert_healed(daemon)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, where this machine lets us mount one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting is not permitted here; the tests above stop writes by a file size limit instead")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(start_daemon, small_disk):
    """The disk itself is full (ENOSPC). Also creating a collection is refused; after making room all works again."""
    daemon = start_daemon(data=small_disk / "data")
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    with open(small_disk / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(512))
        except OSError:
            pass
    # The rest of the journal's last page is room, too: fill it with people until the disk refuses.
    extra = 0
    for number in range(100):
        answer = daemon.insert("face_col", (f"filler_{number}", portrait(ASTRONAUT)))
        if answer["err_code"] != 0:
            break
        extra += 1
    assert_error(answer, 1001)
    assert_batch(answer, stored=0)
    assert_error(daemon.ask("/create/collection", collection_name="later"), 1001)
    assert daemon.features("face_col") == 1 + extra
    assert daemon.search("face_col", portrait(OBAMA))["obama"] >= 0.999
    os.unlink(small_disk / "ballast")
    for number in range(extra):
        assert daemon.ask("/delete/id", collection_name="face_col", target_id=f"filler_{number}")["err_code"] == 0
    assert_healed(daemon)
    daemon.stop()


def journals(daemon) -> set:
    """The files that changes are appended to. They are sealed: nothing in them tells whose they are."""
    return set((daemon.data / "gallery").rglob("journal-*"))


def enrol_three(daemon, collection: str) -> None:
    daemon.ask("/create/collection", collection_name=collection)
    for target, picture in (("obama", OBAMA), ("biden", BIDEN), ("eileen", ASTRONAUT)):
        assert daemon.insert(collection, (target, portrait(picture)))["success_num"] == 1


def test_a_flipped_bit_costs_one_record_and_is_reported(start_daemon):
    """A worn flash card: the damaged enrolment is set aside, not deleted; everybody else is still found."""
    daemon = start_daemon()
    enrol_three(daemon, "damaged_col")
    (damaged,) = journals(daemon)
    enrol_three(daemon, "face_col")
    daemon.stop()
    assert b"damaged_col" not in damaged.read_bytes() and b"eileen" not in damaged.read_bytes()
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0x10
    damaged.write_bytes(content)
    daemon.start()
    everybody = {"obama", "biden", "eileen"}
    assert set(daemon.search("face_col", portrait(OBAMA_2))) == everybody
    left = set(daemon.search("damaged_col", portrait(OBAMA_2)))
    assert left < everybody and len(left) == 2, left
    quarantined = [path for path in (damaged.parent / "quarantine").iterdir() if path.stat().st_size > 0]
    assert quarantined, "what could not be read is kept for rescue"
    assert "damaged_col" in daemon.ask("/collection/status", collection_name=["damaged_col"])["detail"]
    lost = (everybody - left).pop()
    assert daemon.insert("damaged_col", (lost, portrait(OBAMA)))["success_num"] == 1
    daemon.restart()
    assert set(daemon.search("damaged_col", portrait(OBAMA_2))) == everybody


def test_the_data_folder_vanishes(start_daemon):
    """Somebody deletes the data under a running daemon: writing may fail with 1001 but nothing else goes wrong."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.insert("face_col", ("obama", portrait(OBAMA)))
    shutil.rmtree(daemon.data)
    answer = daemon.ask("/create/collection", collection_name="other")
    assert_error(answer, 1001)
    assert daemon.search("face_col", portrait(OBAMA))["obama"] >= 0.999
