"""The same decisions on every processor: what this build sees in the pictures is what x86-64 saw when data/golden.json was frozen.

`-s` prints the table. On ARM: `make test-arm`."""

import json

import pytest

import golden
from golden import MAX_QUALITY_DIFFERENCE, MAX_SCORE_DIFFERENCE, MIN_COSINE

NEW_MODELS = "the networks inside are others than those of tests/data/golden.json: `make golden` on x86-64 freezes their answers"


@pytest.fixture(scope="module")
def frozen():
    answers = json.loads(golden.FILE.read_text("utf-8"))
    assert golden.models() == answers["models"], NEW_MODELS
    return answers


def test_the_same_faces_and_templates(frozen, tmp_path):
    """Faces found or not, their place to 2 % of their size, cosine of the templates."""
    seen = golden.seen(tmp_path)
    assert seen.keys() == frozen["seen"].keys()
    print(f"\n{'picture':<20} {'as':<10} {'faces':>11} {'box moved, px':>13} {'cosine':>9}")
    wrong = []
    for name, by_purpose in frozen["seen"].items():
        for purpose, then in by_purpose.items():
            now = seen[name][purpose]
            line = f"{name:<20} {purpose:<10} {then['faces']:>4} / {now['faces']:>4}"
            if now["faces"] != then["faces"]:
                wrong.append(line)
            elif then["faces"]:
                moved = max(abs(a - b) for a, b in zip(then["box"], now["box"], strict=True))
                cosine = float(golden.template(then) @ golden.template(now))
                line += f" {moved:>13.2f} {cosine:>9.6f}"
                if moved > 0.02 * max(then["box"][2:]) or not cosine >= MIN_COSINE:
                    wrong.append(line)
            print(line)
    assert not wrong, "\n".join(wrong)


def test_the_same_faces_pass_and_are_refused(frozen, start_daemon, tmp_path):
    """Quality and liveness of every face, also of a far look: what gates and doors decide by."""
    detected = golden.detected(start_daemon(), tmp_path)
    assert {name: len(rows) for name, rows in detected.items()} == {name: len(rows) for name, rows in frozen["detected"].items()}
    print(f"\n{'picture':<20} {'box moved, px':>13} {'liveness':>10} {'quality differs by at most':>28}")
    wrong = []
    for name, rows in frozen["detected"].items():
        for then, now in zip(rows, detected[name], strict=True):
            moved = max(abs(a - b) for a, b in zip(then["box"], now["box"], strict=True))
            live = now["liveness"] - then["liveness"]
            assert (then["quality"] is None) == (now["quality"] is None), name
            by_component = {key: abs(value - now["quality"][key]) for key, value in (then["quality"] or {}).items()}
            component, most = max(by_component.items(), key=lambda item: item[1], default=("-", 0))
            line = f"{name:<20} {moved:>13.2f} {live:>+10.6f} {most:>8.1f} {component}"
            print(line)
            if moved > 0.02 * max(then["box"][2:]) or abs(live) > MAX_SCORE_DIFFERENCE or most > MAX_QUALITY_DIFFERENCE:
                wrong.append(line)
    assert len(frozen["detected"]["room, far"]) == 3
    assert not wrong, "\n".join(wrong)


def test_the_same_scores_and_the_same_order(frozen, start_daemon, tmp_path):
    """Searches list the same people in the same order; scores are the frozen ones within the tolerance."""
    scores = golden.scores(start_daemon(), start_daemon(config=golden.MEANS), tmp_path)
    assert scores.keys() == frozen["scores"].keys()
    print(f"\n{'question':<28} {'answer':<24} {'frozen':>9} {'this':>9} {'difference':>11}")
    wrong = []
    for question, then in frozen["scores"].items():
        now = scores[question]
        if then.keys() != now.keys():
            wrong.append(f"{question}: {sorted(now)}")
            continue
        for answer, score in then.items():
            difference = now[answer] - score
            line = f"{question:<28} {answer:<24} {score:>9.5f} {now[answer]:>9.5f} {difference:>+11.6f}"
            print(line)
            if abs(difference) > MAX_SCORE_DIFFERENCE:
                wrong.append(line)
        # Who are closer than the tolerance may change places.
        for first, second in zip(then, list(then)[1:], strict=False):
            if then[first] - then[second] > 2 * MAX_SCORE_DIFFERENCE and now[first] <= now[second]:
                wrong.append(f"{question}: {second} before {first}")
    assert not wrong, "\n".join(wrong)
