"""The same input gives the same answer, whoever computes it and with however many threads."""

import os
import threading

import pytest

import faces
from daemon import Daemon, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, portrait

SETTINGS = [
    "workers = 1\nthreads = 1",
    "workers = 4\nthreads = 1",
    "workers = 1\nthreads = 2",
    "workers = 2\nthreads = 4",
]
PROBES = [OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT]


def answers(daemon) -> list:
    """Scores of searches and comparisons, small and large pictures, also one that needs the second look for a face."""
    if not daemon.status():
        daemon.ask("/create/collection", collection_name="face_col")
        daemon.insert("face_col", *((name, portrait(name)) for name in PROBES))
    pictures = [portrait(name) for name in PROBES] + [
        faces.photograph(OBAMA_3),
        faces.base64_of(faces.close_up(OBAMA_2)),
    ]
    return [daemon.search("face_col", picture) for picture in pictures] + [
        daemon.compare(pictures[0], other) for other in pictures
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The answers of a daemon with nothing configured."""
    daemon = Daemon(tmp_path_factory.mktemp("reference")).start()
    try:
        return answers(daemon)
    finally:
        daemon.stop()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.replace("\n", ", "))
def test_workers_and_threads_do_not_change_an_answer(start_daemon, expected, settings):
    """Equal to the last bit with any number of workers and of threads a recognition."""
    assert answers(start_daemon(config=f"[recognition]\n{settings}\n")) == expected


def test_more_threads_than_cores_are_not_taken(start_daemon):
    """Sixty-four threads for each of two workers: the log says that fewer are used, and an answer comes as ever."""
    if os.cpu_count() > 64:
        pytest.skip("this machine has the cores for them")
    daemon = start_daemon(config="[recognition]\nworkers = 2\nthreads = 64\n")
    wait_until(
        lambda: any("WARN" in line and "recognition.threads" in line for line in daemon.log().splitlines()),
        10,
        "a warning that names the setting",
    )
    assert daemon.compare(portrait(OBAMA), portrait(OBAMA)) >= 0.999


def test_clients_side_by_side_get_the_same_answer(start_daemon, expected):
    """Six clients at once, three workers: nothing of one request leaks into another."""
    daemon = start_daemon(config="[recognition]\nworkers = 3\n")
    assert answers(daemon) == expected
    results = [[] for _ in range(6)]
    clients = [
        threading.Thread(target=lambda mine=mine: [mine.append(answers(daemon)) for _ in range(2)]) for mine in results
    ]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert [len(mine) for mine in results] == [2] * 6
    assert all(answer == expected for mine in results for answer in mine)


def test_the_order_of_a_batch_does_not_change_a_template(start_daemon):
    """Enrolled first or last, alone or with others: the same picture gives the same score."""
    daemon = start_daemon()
    for name, people in (("alone", [OBAMA]), ("first", [OBAMA, BIDEN, ASTRONAUT]), ("last", [ASTRONAUT, BIDEN, OBAMA])):
        daemon.ask("/create/collection", collection_name=name)
        daemon.insert(name, *((person, portrait(person)) for person in people))
    scores = {daemon.search(name, portrait(OBAMA_2))[OBAMA] for name in ("alone", "first", "last")}
    assert len(scores) == 1
