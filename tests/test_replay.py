"""A picture that opened once does not open again, nor one that was made from it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from daemon import wait_until
from faces import BIDEN, OBAMA, OBAMA_3, base64_of, brightness, encoded, head_and_shoulders, portrait
from test_door import SECONDS, ask_to_open, events, start_door, wait_for_event  # noqa: F401 (a fixture)

NO_COOL_DOWN = "cooldown_ms = 0\n"


def locked_again(board) -> None:
    wait_until(lambda: not board.is_on("relay"), SECONDS, "locked again")


def test_the_same_picture_opens_once_also_after_a_restart_and_a_crash(start_door):  # noqa: F811
    """It is recognised, and says to ask with a new picture; the event names whom it shows. A new picture opens."""
    daemon, board = start_door(NO_COOL_DOWN)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    locked_again(board)
    for again in (lambda: None, daemon.restart, lambda: (daemon.kill(), daemon.start())):
        again()
        answer = ask_to_open(daemon, portrait(OBAMA))
        assert answer["err_code"] == 0 and answer["status"][0]["result"] == "obama"
        assert (answer["door"]["opened"], answer["door"]["reason"]) == (False, "replay")
        assert "ask again with a new one" in answer["door"]["detail"]
    denied = wait_for_event(daemon.data, "denied")
    assert (denied["reason"], denied["person"]) == ("replay", "obama")
    assert board.changes("relay") == [True, False]
    assert ask_to_open(daemon, portrait(OBAMA_3))["door"]["opened"] is True


@pytest.mark.parametrize(
    "copy",
    {
        "png": lambda picture: encoded(picture, "PNG"),
        "other metadata": lambda picture: encoded(picture, "JPEG", orientation=1),
        "jpeg q60": lambda picture: encoded(picture, "JPEG", quality=60),
        "webp": lambda picture: encoded(picture, "WEBP", lossless=False, quality=80),
        "darker": lambda picture: encoded(brightness(picture, 0.85)),
        "smaller": lambda picture: encoded(picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)),
        "trailer": lambda picture: encoded(picture) + b"x",
    }.items(),
    ids=lambda copy: copy[0],
)
def test_a_copy_of_the_picture_does_not_open(start_door, copy):  # noqa: F811
    """Whatever was done to the file."""
    daemon, board = start_door(NO_COOL_DOWN)
    shown = head_and_shoulders(OBAMA, 640)
    assert ask_to_open(daemon, base64_of(shown))["door"]["opened"] is True
    locked_again(board)
    answer = ask_to_open(daemon, base64_of(copy[1](shown)))
    assert (answer["door"]["opened"], answer["door"]["reason"]) == (False, "replay")
    assert ask_to_open(daemon, portrait(BIDEN))["door"]["opened"] is True, "somebody else is not refused"


def test_of_many_requests_with_one_picture_one_opens(start_door):  # noqa: F811
    """At the same moment, without a cool-down that would hide it."""
    daemon, board = start_door(NO_COOL_DOWN)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ask_to_open(daemon, portrait(OBAMA)), range(8)))
    reasons = sorted(answer["door"]["reason"] for answer in answers)
    assert reasons == ["matched"] + ["replay"] * 7
    assert len(events(daemon.data, "opened")) == 1


def test_a_refused_picture_may_be_tried_again(start_door):  # noqa: F811
    """During the cool-down nothing opens, and nothing is held against the picture."""
    daemon, _ = start_door("cooldown_ms = 1000\n")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    assert ask_to_open(daemon, portrait(BIDEN))["door"]["reason"] == "cool_down"
    wait_until(lambda: ask_to_open(daemon, portrait(BIDEN))["door"]["opened"], SECONDS, "the cool-down is over")


def test_what_is_kept_names_nobody_and_shows_nothing(start_door):  # noqa: F811
    """A line of hashes, which only the daemon's user may read; a folder that cannot be written keeps no door shut."""
    daemon, board = start_door(NO_COOL_DOWN)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    kept = daemon.data / "door" / "shown"
    (line,) = kept.read_text().splitlines()
    assert len(line) < 250 and "obama" not in line and kept.stat().st_mode & 0o777 == 0o600
    daemon.stop()
    kept.unlink()
    kept.mkdir()
    daemon.start()
    locked_again(board)
    assert ask_to_open(daemon, portrait(BIDEN))["door"]["opened"] is True
    assert "may open again" in daemon.log()
