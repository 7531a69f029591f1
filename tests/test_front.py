"""Who stands at the door: near enough, the nearest, and not before a colleague whose face is borrowed.

Liveness is off at these doors: scenes that are composed are no photographs, and what is tried here holds without it.
"""

import pytest

import scenes
from contract import assert_error
from faces import ASTRONAUT, BIDEN, HEADS, OBAMA, base64_of, close_up, image, portrait
from test_door import ask_to_open, start_door, wait_for_event  # noqa: F401 (a fixture)

ANY_PICTURE = 'liveness = "off"\n'
AT_ANY_DISTANCE = "min_eye_distance = 0.0\nmin_face_share = 0.0\n"


def person(name: str):
    return image(name), HEADS[name]


def far_away(width: int) -> str:
    return base64_of(scenes.alone(*person(OBAMA), width))


def test_somebody_far_away_is_told_to_come_nearer(start_door):  # noqa: F811
    """They are recognised, and the door stays shut: they may only pass by. Red light, and a reason among the events."""
    daemon, board = start_door(ANY_PICTURE)
    answer = ask_to_open(daemon, far_away(80))
    assert answer["err_code"] == 0 and answer["status"][0]["result"] == "obama"
    assert (answer["door"]["opened"], answer["door"]["reason"]) == (False, "too_far")
    assert answer["door"]["detail"].startswith("come nearer: the face is 0.0") and "door.min_face_share" in answer["door"]["detail"]
    board.wait_for("red", True, False)
    assert board.changes("relay") == []
    assert wait_for_event(daemon.data, "denied")["reason"] == "too_far"
    assert ask_to_open(daemon, far_away(220))["door"]["opened"] is True, "they came nearer"


@pytest.mark.parametrize("key, least", [("min_face_share", 0.3), ("min_eye_distance", 120.0)])
def test_how_near_can_be_set(start_door, key, least):  # noqa: F811
    daemon, _ = start_door(ANY_PICTURE, f"{key} = {least}\n")
    door = ask_to_open(daemon, far_away(220))["door"]
    assert door["reason"] == "too_far" and f"door.{key}" in door["detail"]


def test_an_installer_can_let_in_from_afar(start_door):  # noqa: F811
    daemon, _ = start_door(ANY_PICTURE, AT_ANY_DISTANCE)
    assert ask_to_open(daemon, far_away(80))["door"]["opened"] is True


@pytest.mark.parametrize("more", ["", '[recognition]\nfar = "always"\n'])
def test_far_looks_open_nothing(start_door, more):  # noqa: F811
    """A request for both is refused; a device that always looks far does not for an opening."""
    daemon, board = start_door(ANY_PICTURE, AT_ANY_DISTANCE, more)
    tiny = far_away(44)
    answer = ask_to_open(daemon, tiny, far=True)
    assert_error(answer, 1011)
    assert answer["detail"].startswith("far: ")
    assert ask_to_open(daemon, tiny)["door"]["opened"] is False
    assert board.changes("relay") == []
    found = daemon.ask("/face/search", collection_name="staff", face_image=far_away(80), top_k=1, far=True)
    assert found["status"][0]["result"] == "obama", "a search that does not open may look"


@pytest.mark.parametrize("near, behind", [(480, 160), (400, 130)])
def test_nobody_opens_behind_a_face_that_cannot_be_read(start_door, near, behind):  # noqa: F811
    """Whoever hides their face is the one who stands at the door, not the colleague behind them, however near that one is."""
    daemon, board = start_door(ANY_PICTURE, AT_ANY_DISTANCE)
    front, head = person(ASTRONAUT)
    reasons = {}
    for cover in scenes.COVERS:
        scene = scenes.colleague_behind(cover(front, head), head, *person(BIDEN), width=behind, near=near)
        answer = ask_to_open(daemon, base64_of(scene))
        reasons[cover.__name__] = answer["door"]["reason"]
        assert answer["door"]["opened"] is False, reasons
        if answer["door"]["reason"] == "unreadable":
            assert_error(answer, 1017)
            assert "covered, turned away or cut off" in answer["door"]["detail"]
    assert set(reasons.values()) <= {"unreadable", "no_match"}, reasons
    assert reasons["behind_a_hand"] == reasons["turned_away"] == "unreadable", reasons
    assert "unreadable" in {event["reason"] for event in (wait_for_event(daemon.data, "denied"),)}
    assert board.changes("relay") == []


def test_a_hand_before_the_face_is_unreadable_and_the_colleague_alone_opens(start_door):  # noqa: F811
    """The same colleague, with and without somebody before them."""
    daemon, _ = start_door(ANY_PICTURE, AT_ANY_DISTANCE)
    front, head = person(ASTRONAUT)
    scene = scenes.colleague_behind(scenes.behind_a_hand(front, head), head, *person(BIDEN), width=130)
    answer = ask_to_open(daemon, base64_of(scene))
    assert answer["door"]["reason"] == "unreadable" and "status" in answer
    plain = daemon.ask("/face/search", collection_name="staff", face_image=base64_of(scene), top_k=1)
    assert plain["status"][0]["result"] == "biden", "a search that does not open still names them"
    behind_nobody = scenes.place(scenes.wall(), *person(BIDEN), 130, (1060, 300))
    assert ask_to_open(daemon, base64_of(behind_nobody))["door"]["opened"] is True


def test_a_face_that_fills_the_frame_is_told_to_step_back_and_not_refused_as_an_attack(start_door):  # noqa: F811
    """Liveness looks at what surrounds a face. Where there is nothing, a living face is either let in or told what to do."""
    daemon, board = start_door("cooldown_ms = 0\n")
    told = []
    for name in HEADS:
        left, top, right, bottom = HEADS[name]
        inset = (right - left) // 8
        tight = image(name).crop((left + inset, top + inset, right - inset, bottom - inset // 2))
        for picture in (close_up(name), tight):
            answer = ask_to_open(daemon, base64_of(picture))
            reason = answer["door"]["reason"]
            assert reason in ("matched", "no_match", "cool_down", "replay", "too_near", "not_searched"), f"{name}: {reason}"
            if reason == "too_near":
                told.append(name)
                assert_error(answer, 1017)
                assert "step back" in answer["detail"] and "room around it" in answer["door"]["detail"]
                assert answer["door"]["opened"] is False
    assert told, "none of these is refused by the network, so nothing was tried"
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
