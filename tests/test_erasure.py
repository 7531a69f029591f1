"""When the bytes of a removed person leave the disk: soon, and together with those of others."""

import resource

from daemon import Daemon, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, portrait

# Templates are written as they are into generations; in plain files a name is a trace, too.
PLAIN = "[storage]\nseal = false\n"
NAME = "somebody-who-leaves"


def traces(daemon: Daemon, name: str = NAME) -> list[str]:
    files = (path for path in (daemon.data / "gallery").rglob("*") if path.is_file())
    return [path.name for path in files if name.encode() in path.read_bytes()]


def generations(daemon: Daemon) -> list[int]:
    return [int(path.name[4:-5]) for path in (daemon.data / "gallery").rglob("gen-*.rkyv")]


def staffed(start_daemon, people: int = 1) -> Daemon:
    daemon = start_daemon(config=PLAIN)
    daemon.ask("/create/collection", collection_name="staff")
    faces = [(f"{NAME}-{number}", portrait(ASTRONAUT)) for number in range(people)]
    assert daemon.insert("staff", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)), *faces)["success_num"] == people + 2
    return daemon


def remove(daemon: Daemon, number: int) -> None:
    answer = daemon.ask("/delete/id", collection_name="staff", target_id=f"{NAME}-{number}")
    assert answer["err_code"] == 0 and answer.headers["X-Erased-Within"] == "60", answer


def test_removals_that_come_together_share_one_new_generation(start_daemon):
    """The person is found no more at once; the files are written anew once for all, within the time that the answer says."""
    daemon = staffed(start_daemon, people=8)
    for number in range(8):
        remove(daemon, number)
    assert set(daemon.search("staff", portrait(ASTRONAUT))) == {"obama", "biden"}
    wait_until(lambda: not traces(daemon), 60, "no file has the name any more")
    assert max(generations(daemon)) == 2, "one new generation"
    assert set(daemon.search("staff", portrait(OBAMA))) == {"obama", "biden"}


def test_an_orderly_end_erases_what_waits(start_daemon):
    daemon = staffed(start_daemon)
    remove(daemon, 0)
    daemon.stop()
    assert not traces(daemon)
    daemon.start()
    assert set(daemon.search("staff", portrait(OBAMA))) == {"obama", "biden"}


def test_a_start_erases_what_a_power_cut_left(start_daemon):
    daemon = staffed(start_daemon)
    remove(daemon, 0)
    daemon.kill()
    assert traces(daemon), "it was to be erased later"
    daemon.start()
    wait_until(lambda: not traces(daemon), 30, "no file has the name any more")


def test_a_disk_that_is_full_delays_the_erasure_and_no_more(start_daemon):
    """The person is gone all the same; the next start erases."""
    daemon = staffed(start_daemon)
    unlimited = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    remove(daemon, 0)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (600, unlimited[1]))
    daemon.stop()
    assert traces(daemon) and "not erased from the disk yet" in daemon.log()
    daemon.start()
    wait_until(lambda: not traces(daemon), 30, "no file has the name any more")
    assert set(daemon.search("staff", portrait(OBAMA))) == {"obama", "biden"}
