"""Hundreds of kills (SIGKILL) at random moments while clients change two collections: what was acknowledged is there after every
restart, nothing is there by halves, and nothing that nobody asked for.

RECOCOMP_KILLS says how many (300; `make soak` 3,000), RECOCOMP_KILL_SEED by which chance. Power cuts are not tested here, since a
kill leaves what the kernel has not written yet: that is what the crash tests in src/gallery/tests/crash do.
"""

import os
import random
import threading
import time

import pytest
import requests

from contract import assert_batch
from daemon import Daemon
from faces import ASTRONAUT, BIDEN, OBAMA, base64_of, head_and_shoulders

KILLS = int(os.environ.get("RECOCOMP_KILLS", "300"))
SEED = int(os.environ.get("RECOCOMP_KILL_SEED", "1"))

# Three people, told apart by their scores: the same picture scores 0.999 and more, somebody else far less.
NAMES = [OBAMA, BIDEN, ASTRONAUT]
SAME = 0.99
MAX_FEATURES = len(NAMES)

LOST = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)

# Which pictures each person has.
State = dict[str, frozenset[str]]


@pytest.fixture(scope="module")
def pictures() -> dict[str, str]:
    return {name: base64_of(head_and_shoulders(name, 160)) for name in NAMES}


class Client:
    """Changes people of its own in one collection, one request after the other. After a kill it knows what must be there: what was
    acknowledged, and of the one request that was under way all or nothing."""

    def __init__(self, daemon: Daemon, collection: str, number: int, pictures: dict[str, str], clears: bool):
        self.daemon = daemon
        self.collection = collection
        self.prefix = f"client{number}_"
        self.people = [f"{self.prefix}{person}" for person in range(10)]
        self.pictures = pictures
        self.clears = clears
        self.chance = random.Random(SEED * 1000 + number)
        self.sure: State = {}
        self.under_way: State | None = None
        self.acknowledged = 0
        self.error: BaseException | None = None

    def work(self, until: threading.Event) -> None:
        try:
            while not until.is_set():
                self.under_way, request = self.choose()
                request()
                self.sure, self.under_way = self.under_way, None
                self.acknowledged += 1
        except LOST:
            pass
        except BaseException as error:
            self.error = error

    def choose(self):
        """The state after some request, and the request."""
        enrolled = sorted(self.sure)
        kind = self.chance.choice(["single", "batch", "batch", "update", "remove", "remove", "clear" if self.clears else "single"])
        if kind == "clear" and enrolled:
            return {}, lambda: self.ask("/clear/collection")
        if kind == "remove" and len(enrolled) > 2:
            gone = self.chance.choice(enrolled)
            left = {who: has for who, has in self.sure.items() if who != gone}
            return left, lambda: self.ask("/delete/id", target_id=gone)
        if kind == "update" and len(enrolled) > 1:
            # Other pictures than before, for two people at once.
            changed, batch = dict(self.sure), []
            for who in self.chance.sample(enrolled, 2):
                others = [name for name in NAMES if {name} != self.sure[who]]
                name = self.chance.choice(others)
                changed[who] = frozenset([name])
                batch.append((who, self.pictures[name]))
            return changed, lambda: self.store(self.daemon.update, batch)
        return self.choose_insert(1 if kind == "single" else self.chance.randint(2, 4))

    def choose_insert(self, count: int):
        """A picture more for each of some people, who may be new."""
        changed, batch = dict(self.sure), []
        room = [who for who in self.people if len(self.sure.get(who, ())) < MAX_FEATURES]
        for who in self.chance.sample(room, min(count, len(room))):
            has = self.sure.get(who, frozenset())
            name = self.chance.choice([name for name in NAMES if name not in has])
            changed[who] = has | {name}
            batch.append((who, self.pictures[name]))
        if not batch:
            return {}, lambda: self.remove_all()
        return changed, lambda: self.store(self.daemon.insert, batch)

    def remove_all(self) -> None:
        """Not one change but many; each is acknowledged by itself."""
        while self.sure:
            gone = sorted(self.sure)[0]
            self.under_way = {who: has for who, has in self.sure.items() if who != gone}
            self.ask("/delete/id", target_id=gone)
            self.sure = self.under_way
        self.under_way = {}

    def ask(self, path: str, **fields) -> None:
        answer = self.daemon.ask(path, collection_name=self.collection, **fields)
        assert answer["err_code"] == 0, answer

    def store(self, send, batch) -> None:
        assert_batch(send(self.collection, *batch), stored=len(batch))

    def settle(self, found: State) -> None:
        """Compares with what is there, which counts from now on."""
        mine = {who: has for who, has in found.items() if who.startswith(self.prefix)}
        allowed = [self.sure] if self.under_way is None else [self.sure, self.under_way]
        assert mine in allowed, f"{self.collection}: found {mine}, acknowledged {self.sure}, under way {self.under_way}"
        self.sure, self.under_way = mine, None


def look(daemon: Daemon, collection: str, pictures: dict[str, str]) -> State:
    """Everyone in the collection with the pictures that they have."""
    found: dict[str, set[str]] = {}
    for name in NAMES:
        scores = daemon.search(collection, pictures[name])
        for who, score in scores.items():
            found.setdefault(who, set()).update([name] if score >= SAME else [])
    state = {who: frozenset(has) for who, has in found.items()}
    assert daemon.features(collection) == sum(map(len, state.values())), f"features that nobody has: {state}"
    return state


class Loop:
    """One daemon that is killed again and again."""

    def __init__(self, folder, number: int, pictures: dict[str, str]):
        self.pictures = pictures
        self.chance = random.Random(SEED * 77 + number)
        # One of two seals its files.
        seal = "true" if number % 2 else "false"
        self.daemon = Daemon(folder, config=f"[recognition]\nworkers = 1\n\n[storage]\nseal = {seal}\n")
        self.clients = [
            Client(self.daemon, "staff", 10 * number, pictures, clears=False),
            Client(self.daemon, "staff", 10 * number + 1, pictures, clears=False),
            Client(self.daemon, "guests", 10 * number + 2, pictures, clears=True),
        ]
        self.kills = 0
        self.kills_during_start = 0

    def run(self, kills: int) -> None:
        self.daemon.start()
        for collection in ("staff", "guests"):
            assert self.daemon.ask("/create/collection", collection_name=collection)["err_code"] == 0
        while self.kills < kills:
            self.work_and_kill()
            if self.chance.random() < 0.1:
                self.kill_during_start()
            self.daemon.start()
            self.check()
        self.daemon.stop()

    def acknowledged(self) -> int:
        return sum(client.acknowledged for client in self.clients)

    def work_and_kill(self) -> None:
        stop = threading.Event()
        threads = [threading.Thread(target=client.work, args=(stop,)) for client in self.clients]
        for thread in threads:
            thread.start()
        # After some changes, so that a slow machine does as many; then at a random moment of the next ones.
        wanted = self.acknowledged() + self.chance.randint(0, 5)
        deadline = time.monotonic() + 60
        while self.acknowledged() < wanted and any(map(threading.Thread.is_alive, threads)):
            assert time.monotonic() < deadline, "no change is acknowledged any more"
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0, 0.06))
        self.daemon.process.kill()
        stop.set()
        for thread in threads:
            thread.join()
        self.daemon.kill()
        self.kills += 1
        for client in self.clients:
            if client.error is not None:
                raise client.error

    def kill_during_start(self) -> None:
        """While it opens the gallery: what it repairs there must survive that too."""
        killer = threading.Timer(self.chance.uniform(0.0, 0.3), lambda: self.daemon.process and self.daemon.process.kill())
        killer.start()
        try:
            self.daemon.start()
        except AssertionError:
            pass  # killed before it said that it listens
        killer.join()
        self.daemon.kill()
        self.kills += 1
        self.kills_during_start += 1

    def check(self) -> None:
        status = {collection["collection_name"] for collection in self.daemon.status()}
        assert status == {"staff", "guests"}
        found = {collection: look(self.daemon, collection, self.pictures) for collection in status}
        for client in self.clients:
            client.settle(found[client.collection])
        ours = {who for client in self.clients for who in client.people}
        assert {who for state in found.values() for who in state} <= ours
        assert not list(self.daemon.data.rglob("quarantine")), "a kill damages no file"


@pytest.mark.timeout(60 + KILLS * 10)
def test_kills_one_after_the_other(tmp_path, pictures):
    """Two daemons at a time, so that one starts while the other works."""
    loops = [Loop(tmp_path / f"daemon{number}", number, pictures) for number in range(2)]
    errors = []

    def run(loop: Loop) -> None:
        try:
            loop.run(-(-KILLS // len(loops)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for loop in loops:
        if loop.daemon.alive():
            loop.daemon.kill()
        loop.daemon.assert_no_panic()
    kills = sum(loop.kills for loop in loops)
    during_start = sum(loop.kills_during_start for loop in loops)
    acknowledged = sum(loop.acknowledged() for loop in loops)
    print(f"{kills} kills, {during_start} of them during a start, {acknowledged} acknowledged changes, {time.monotonic() - began:.0f} s")
    if errors:
        raise errors[0]
    assert kills >= KILLS
    assert acknowledged > kills / 2, "the clients got to work"
