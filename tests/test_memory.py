"""Memory does not grow with the number of requests."""

import threading

import faces
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, base64_of, encoded, head_and_shoulders, portrait, scenery

SEARCHES = 1000
COLLECTIONS = 30
OWN_MEMORY_KIB = 60 * 1024
CLIENTS = 4


def mixed_pictures() -> list[str]:
    """Portraits and whole photographs, several formats and sizes, some without a face, some no pictures at all."""
    pictures = [portrait(name) for name in (OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT)]
    pictures += [faces.photograph(name) for name in (OBAMA, BIDEN)]
    head = head_and_shoulders(OBAMA_2, 400)
    pictures += [base64_of(encoded(head, kind)) for kind in ("PNG", "BMP", "WEBP")]
    pictures += [base64_of(faces.close_up(ASTRONAUT)), scenery(), faces.NOT_A_PICTURE, portrait(BIDEN)[:5000]]
    return pictures


def test_memory_after_1000_mixed_searches_is_that_after_100(start_daemon):
    """Four clients search with pictures of every kind; resident memory stays within 5 % of what it was after the first 100."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.insert("face_col", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)))
    pictures = mixed_pictures()
    failures = []

    def client(number: int, searches: int) -> None:
        for turn in range(searches):
            picture = pictures[(number + turn * CLIENTS) % len(pictures)]
            answer = daemon.ask("/face/search", collection_name="face_col", face_image=picture, top_k=2)
            if answer["err_code"] not in (0, 1009, 1010):
                failures.append(answer)

    def search(total: int) -> None:
        clients = [threading.Thread(target=client, args=(number, total // CLIENTS)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()

    search(100)
    after_100 = daemon.memory_kib()
    search(SEARCHES - 100)
    after_all = daemon.memory_kib()
    assert not failures
    assert after_all <= after_100 * 1.05, f"{after_100} KiB after 100 searches, {after_all} KiB after {SEARCHES}"


def test_memory_of_large_batches_is_given_back(start_daemon):
    """Ten batches of 100 pictures: the last costs no more than the third."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    batch = [(f"person_{number // 5}", portrait(OBAMA)) for number in range(50)] + [("curtain", scenery())] * 50
    memory = []
    for _ in range(10):
        assert daemon.insert("face_col", *batch)["success_num"] == 50
        assert daemon.ask("/clear/collection", collection_name="face_col")["err_code"] == 0
        memory.append(daemon.memory_kib())
    assert memory[-1] <= memory[2] * 1.05, memory


def test_thirty_collections_take_60_mb_beside_mapped_files(start_daemon):
    """With two workers, all collections searched: pages of the program and of the galleries are not counted, the system can take them back."""
    daemon = start_daemon(config="[recognition]\nworkers = 2\n")
    names = [f"door_{number}" for number in range(COLLECTIONS)]
    people = [(name, portrait(name)) for name in (OBAMA, BIDEN, ASTRONAUT)]
    for name in names:
        assert daemon.ask("/create/collection", collection_name=name)["err_code"] == 0
        assert daemon.insert(name, *people)["success_num"] == len(people)
    daemon.restart()
    for name in names:
        found = daemon.search(name, portrait(OBAMA_2))
        assert max(found, key=found.get) == OBAMA
    print(f"\n{COLLECTIONS} collections: {daemon.own_memory_kib()} KiB of own memory, {daemon.memory_kib()} KiB with mapped files")
    assert daemon.own_memory_kib() <= OWN_MEMORY_KIB
