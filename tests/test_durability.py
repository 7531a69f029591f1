"""What an answer promises is on the medium before the answer leaves, watched at the border to the kernel."""

import re

import pytest

from daemon import binary
from faces import OBAMA, portrait

CALLS = "trace=fdatasync,fsync,write,sendto,sendmsg,writev,pwrite64"


@pytest.fixture
def traced(start_daemon, tmp_path, monkeypatch):
    """A daemon under strace, and a way to read what it has asked of the kernel since the last time."""
    log = tmp_path / "calls"
    # -D: strace watches as a grandchild, so that signals go to the daemon.
    monkeypatch.setenv("RECOCOMP_BIN", f"strace -D -f -y -s 24 -o {log} -e {CALLS} {' '.join(binary())}")
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    read = 0

    def calls() -> list[str]:
        nonlocal read
        lines = log.read_text("utf-8", "replace").splitlines()
        new, read = lines[read:], len(lines)
        return new

    calls()
    yield daemon, calls


def place(calls: list[str], pattern: str) -> list[int]:
    return [index for index, line in enumerate(calls) if re.search(pattern, line)]


def test_the_journal_is_synced_before_the_answer_leaves(traced):
    """write to the journal, fdatasync of the journal, and only then the answer: in this order, once each."""
    daemon, calls = traced
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    seen = calls()
    (written,) = place(seen, r"pwrite64\(\d+<[^>]*/journal-\d+>")
    # A call that another thread interrupts in the log ends on a line of its own.
    (synced,) = place(seen, r"fdatasync\(\d+<[^>]*/journal-\d+>")
    thread = seen[synced].split()[0]
    done = synced
    if "unfinished" in seen[synced]:
        done = next(i for i in place(seen, rf"^{thread} +<\.\.\. fdatasync resumed") if i > synced)
    assert re.search(r"= 0$", seen[done]), seen[done]
    (answered,) = place(seen, r'(write|sendto|sendmsg|writev)\(.*"HTTP/1\.1 200')
    assert written < synced <= done < answered, seen


def test_a_batch_is_one_sync(traced):
    """However many pictures a batch has, the medium is waited for once."""
    daemon, calls = traced
    people = [(f"p{number}", portrait(OBAMA)) for number in range(12)]
    assert daemon.insert("face_col", *people)["success_num"] == 12
    assert len(place(calls(), r"fdatasync\(\d+<[^>]*/journal-\d+>")) == 1
