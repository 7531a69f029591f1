"""Doubtful enrolments: faces enrolled under another name, and faces unlike the others of their person."""

import threading

import pytest

import faces
from contract import BATCH_FIELDS, assert_batch, assert_error
from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, base64_of, blurred, head_and_shoulders, portrait, scenery

REFUSE = '[enrolment]\nduplicates = "refuse"\n'
REPORT = '[enrolment]\nduplicates = "report"\ndisagreements = "report"\n'


def enrol(daemon, collection, *batch, path="/face/insert", **asked):
    return daemon.ask(
        path,
        collection_name=collection,
        target_id=[who for who, _ in batch],
        face_image=[portrait(face) for _, face in batch],
        **asked,
    )


def named(rows):
    return [(row["index"], row["target_id"], row["result"]) for row in rows]


def start(start_daemon, config):
    daemon = start_daemon(config=config)
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    return daemon


# Duplicates


def test_nobody_is_told_who_does_not_ask(daemon, collection):
    """The plain answer stays the plain answer."""
    for asked in ({}, {"duplicates": False, "disagreements": False}):
        answer = enrol(daemon, collection, ("ada", OBAMA), ("bob", OBAMA_2), ("ada", BIDEN), **asked)
        assert set(answer) == BATCH_FIELDS


def test_a_face_under_another_name_is_reported_and_stored(daemon, collection):
    """Which picture, whose it is said to be, who it looks like and how much."""
    assert enrol(daemon, collection, ("obama", OBAMA), ("biden", BIDEN), duplicates=True)["duplicates"] == []
    answer = enrol(daemon, collection, ("eileen", ASTRONAUT), ("barack", OBAMA_2), duplicates=True)
    assert_batch(answer, 2)
    (row,) = answer["duplicates"]
    assert set(row) == {"index", "target_id", "result", "score"}
    assert named([row]) == [(1, "barack", "obama")]
    assert 0.99 < row["score"] <= 1
    assert daemon.features(collection) == 4


def test_more_faces_of_the_same_person_are_no_duplicates(daemon, collection):
    """Nobody is a duplicate of their own."""
    assert enrol(daemon, collection, ("obama", OBAMA), ("obama", OBAMA_2), duplicates=True)["duplicates"] == []
    assert enrol(daemon, collection, ("obama", OBAMA_3), duplicates=True)["duplicates"] == []


def test_one_face_under_two_names_in_a_batch(daemon, collection):
    """The later picture is the duplicate."""
    answer = enrol(daemon, collection, ("obama", OBAMA), ("barack", OBAMA_2), ("biden", BIDEN), duplicates=True)
    assert named(answer["duplicates"]) == [(1, "barack", "obama")]


def test_everybody_who_looks_like_it_is_named(daemon, collection):
    """Each once, the most alike first, at most five."""
    enrol(daemon, collection, *[(f"obama{n}", OBAMA) for n in range(7)])
    rows = enrol(daemon, collection, ("new", OBAMA), duplicates=True)["duplicates"]
    assert named(rows) == [(0, "new", f"obama{n}") for n in range(5)]


def test_an_update_is_asked_the_same(daemon, collection):
    """What the batch replaces does not count: two people whose faces were mixed up are put right without a word."""
    enrol(daemon, collection, ("obama", BIDEN), ("biden", OBAMA), ("eileen", ASTRONAUT))
    swapped = enrol(daemon, collection, ("obama", OBAMA), ("biden", BIDEN), path="/face/update", duplicates=True)
    assert_batch(swapped, 2)
    assert swapped["duplicates"] == []
    wrong = enrol(daemon, collection, ("eileen", OBAMA_2), path="/face/update", duplicates=True)
    assert named(wrong["duplicates"]) == [(0, "eileen", "obama")]


def test_the_fifth_face_counts_and_the_sixth_does_not(daemon, collection):
    """Pictures count as enrolled as long as their person has room."""
    enrol(daemon, collection, *[("obama", OBAMA)] * 4)
    batch = [("obama", BIDEN), ("obama", ASTRONAUT), ("joe", BIDEN), ("eileen", ASTRONAUT)]
    answer = enrol(daemon, collection, *batch, duplicates=True)
    assert_batch(answer, 3, {}, ["obama"])
    assert named(answer["duplicates"]) == [(2, "joe", "obama")]


def test_who_is_given_too_many_keeps_the_old_faces_and_no_new_one_counts(daemon, collection):
    """An update of six pictures: the old face is there still, the six never were."""
    enrol(daemon, collection, ("bob", BIDEN), ("ada", ASTRONAUT), ("obama", ASTRONAUT))
    batch = [("bob", OBAMA)] * 6 + [("ada", BIDEN), ("obama", OBAMA_2)]
    answer = enrol(daemon, collection, *batch, path="/face/update", duplicates=True)
    assert_batch(answer, 2, {}, ["bob"])
    assert named(answer["duplicates"]) == [(6, "ada", "bob")]


def test_other_collections_do_not_count(daemon, collection, fresh_name):
    """A person may be in several."""
    daemon.ask("/create/collection", collection_name=fresh_name + "_other")
    enrol(daemon, fresh_name + "_other", ("obama", OBAMA))
    assert enrol(daemon, collection, ("barack", OBAMA), duplicates=True)["duplicates"] == []
    daemon.ask("/delete/collection", collection_name=fresh_name + "_other")


def test_refused_where_that_is_configured(start_daemon):
    """1018 where nothing else was stored, invalid where something was; the detail says who it is."""
    daemon = start(start_daemon, REFUSE)
    assert enrol(daemon, "staff", ("obama", OBAMA))["duplicates"] == []
    refused = enrol(daemon, "staff", ("barack", OBAMA_2))
    assert_error(refused, 1018)
    assert_batch(refused, 0, {0: "barack"})
    assert named(refused["duplicates"]) == [(0, "barack", "obama")]
    assert 'face_image[0]: this face is enrolled already, as "obama" (score 0.' in refused["detail"]
    partly = enrol(daemon, "staff", ("barack", OBAMA_3), ("biden", BIDEN), ("joe", BIDEN), duplicates=False)
    assert partly["err_code"] == 0
    assert_batch(partly, 1, {0: "barack", 2: "joe"})
    people = daemon.ask("/person/list", collection_name="staff")["status"]
    assert [row["target_id"] for row in people] == ["biden", "obama"]
    # One's own name is always open, and an update is no way around.
    assert_batch(enrol(daemon, "staff", ("obama", OBAMA_3)), 1)
    assert_error(enrol(daemon, "staff", ("biden", OBAMA), path="/face/update"), 1018)
    assert daemon.search("staff", portrait(BIDEN))["biden"] > 0.9


def test_a_refused_face_is_nobodys_duplicate(start_daemon):
    """Only who is stored counts: joe is refused, so biden's second picture is not joe's."""
    daemon = start(start_daemon, REFUSE)
    answer = enrol(daemon, "staff", ("biden", BIDEN), ("joe", BIDEN), ("biden", BIDEN))
    assert_batch(answer, 2, {1: "joe"})
    assert named(answer["duplicates"]) == [(1, "joe", "biden")]


def test_an_update_cannot_pass_a_face_by_whose_old_ones_stay(start_daemon):
    """Who is refused keeps the old face, so the others of the batch are compared with it."""
    daemon = start(start_daemon, REFUSE)
    enrol(daemon, "staff", ("ada", OBAMA), ("bob", BIDEN), ("carol", ASTRONAUT))
    answer = enrol(daemon, "staff", ("ada", BIDEN), ("bob", ASTRONAUT), path="/face/update")
    assert_error(answer, 1018)
    assert_batch(answer, 0, {0: "ada", 1: "bob"})
    assert named(answer["duplicates"]) == [(0, "ada", "bob"), (1, "bob", "carol")]
    # So does who is given too many.
    many = [("bob", OBAMA_2)] * 6
    answer = enrol(daemon, "staff", ("ada", BIDEN), *many, path="/face/update")
    assert_error(answer, 1018)
    assert_batch(answer, 0, {0: "ada"}, ["bob"])
    # One's own old face is no hindrance.
    assert_batch(enrol(daemon, "staff", ("ada", OBAMA_2), ("bob", BIDEN), path="/face/update"), 2)
    for face, who in ((OBAMA, "ada"), (BIDEN, "bob"), (ASTRONAUT, "carol")):
        found = daemon.search("staff", portrait(face))
        assert [name for name, score in found.items() if score > 0.9] == [who]


def test_refusing_some_of_too_many_pictures_makes_no_room(start_daemon):
    """Six pictures replace nothing, although one of them is refused: else bob's other five would pass the one of ada unseen."""
    daemon = start(start_daemon, REFUSE)
    enrol(daemon, "staff", ("ada", OBAMA), ("bob", BIDEN))
    batch = [("bob", ASTRONAUT)] * 5 + [("bob", OBAMA_2), ("ada", ASTRONAUT)]
    answer = enrol(daemon, "staff", *batch, path="/face/update")
    assert answer["err_code"] == 0, answer
    assert_batch(answer, 1, {}, ["bob"])
    assert named(answer["duplicates"]) == [(5, "bob", "ada")]
    for face, who in ((ASTRONAUT, "ada"), (BIDEN, "bob")):
        found = daemon.search("staff", portrait(face))
        assert [name for name, score in found.items() if score > 0.9] == [who]


def test_what_is_too_much_is_nobodys_duplicate(start_daemon):
    """A picture for which its person has no room is not stored, so joe is not refused for it."""
    daemon = start(start_daemon, REFUSE)
    enrol(daemon, "staff", *[("full", OBAMA)] * 5, ("almost", ASTRONAUT))
    answer = enrol(daemon, "staff", ("full", BIDEN), ("joe", BIDEN))
    assert_batch(answer, 1, {}, ["full"])
    assert answer["duplicates"] == []
    assert daemon.search("staff", portrait(BIDEN))["joe"] > 0.9


def test_two_at_once_cannot_both_enrol_one_face(start_daemon):
    """Of requests that come together with one face under many names one is stored."""
    daemon = start(start_daemon, REFUSE)
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(enrol(daemon, "staff", (f"name{n}", OBAMA)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["err_code"] for answer in answers) == [0] + [1018] * 7
    assert daemon.features("staff") == 1


def test_the_codes_of_pictures_go_before_and_the_quota_after(start_daemon):
    """A batch of a duplicate and a picture without a face: the face first."""
    daemon = start(start_daemon, REFUSE)
    enrol(daemon, "staff", *[("obama", OBAMA)] * 5)
    answer = daemon.insert("staff", ("barack", portrait(OBAMA_2)), ("eileen", scenery()))
    assert_error(answer, 1009)
    assert_batch(answer, 0, {0: "barack", 1: "eileen"})
    answer = enrol(daemon, "staff", ("barack", OBAMA_2), ("obama", OBAMA))
    assert_error(answer, 1018)
    assert_batch(answer, 0, {0: "barack"}, ["obama"])


def test_a_stricter_rate_asks_for_more(start_daemon):
    """A blurred picture of obama is his with a rate of 0.1; one of 0.000001 takes only the good one for his, and says how sure that is."""
    rough, good = base64_of(blurred(head_and_shoulders(OBAMA_2), 5)), portrait(OBAMA_3)
    found = {}
    for rate in (0.1, 0.000001):
        config = f'[enrolment]\nduplicates = "report"\nduplicate_fpir = {rate}\n[quality.enrolment]\nsharpness = 0\n'
        daemon = start(start_daemon, config)
        enrol(daemon, "staff", *[(f"n{n}", ASTRONAUT) for n in range(4)], ("obama", OBAMA))
        answer = daemon.insert("staff", ("rough", rough), ("good", good))
        found[rate] = {row["target_id"] for row in answer["duplicates"] if row["result"] == "obama"}
        # Seven faces at 1e-6 are beyond the table of the model.
        assert ("duplicate_fpir = 0.000001" in answer.get("detail", "")) == (rate < 0.1), answer
    assert found == {0.1: {"rough", "good"}, 0.000001: {"good"}}


# Disagreements


def test_a_face_unlike_the_others_is_reported_and_stored(daemon, collection):
    """Against what is stored and what comes with it; the score is that of the most alike one."""
    first = enrol(daemon, collection, ("obama", OBAMA), ("obama", OBAMA_2), ("biden", BIDEN), disagreements=True)
    assert first["disagreements"] == []
    answer = enrol(daemon, collection, ("biden", ASTRONAUT), ("obama", OBAMA_3), disagreements=True)
    assert_batch(answer, 2)
    (row,) = answer["disagreements"]
    assert set(row) == {"index", "target_id", "score"}
    assert (row["index"], row["target_id"]) == (0, "biden") and 0 <= row["score"] < 0.5
    assert "duplicates" not in answer


def test_two_unlike_faces_in_one_batch_are_both_doubtful(daemon, collection):
    """Which of the two is wrong nobody can tell; a third that is like one of them decides it."""
    two = enrol(daemon, collection, ("a", OBAMA), ("a", BIDEN), disagreements=True)
    assert [row["index"] for row in two["disagreements"]] == [0, 1]
    three = enrol(daemon, collection, ("b", OBAMA), ("b", BIDEN), ("b", OBAMA_2), disagreements=True)
    assert [row["index"] for row in three["disagreements"]] == [1]


def test_an_update_compares_only_what_stays(daemon, collection):
    """The old faces go, so they say nothing."""
    enrol(daemon, collection, ("a", OBAMA))
    replaced = enrol(daemon, collection, ("a", BIDEN), path="/face/update", disagreements=True)
    assert replaced["disagreements"] == []


def test_both_are_told_everybody_where_that_is_configured(start_daemon):
    """Also in an answer that stored nothing."""
    daemon = start(start_daemon, REPORT)
    answer = enrol(daemon, "staff", ("obama", OBAMA), ("barack", OBAMA), ("obama", BIDEN))
    assert named(answer["duplicates"]) == [(1, "barack", "obama")]
    assert [row["index"] for row in answer["disagreements"]] == [0, 2]
    failed = daemon.insert("staff", ("eileen", scenery()))
    assert_error(failed, 1009)
    assert failed["duplicates"] == failed["disagreements"] == []


@pytest.mark.parametrize("path", ["/face/insert", "/face/update"])
def test_a_failure_has_the_lists_that_were_asked_for(daemon, collection, path):
    """Also one that looked at no picture; a field that is wrong itself brings no list."""
    unknown = enrol(daemon, "nowhere", ("ada", OBAMA), path=path, duplicates=True)
    assert_error(unknown, 1006)
    assert unknown["duplicates"] == [] and "disagreements" not in unknown
    wrong = enrol(daemon, collection, ("ada", OBAMA), path=path, duplicates=1, disagreements=True)
    assert_error(wrong, 1011)
    assert wrong["disagreements"] == [] and "duplicates" not in wrong
    short = daemon.ask(path, collection_name=collection, target_id=["ada"], disagreements=True)
    assert_error(short, 1011)
    assert short["disagreements"] == [] and "duplicates" not in short
    plain = enrol(daemon, "nowhere", ("ada", OBAMA), path=path)
    assert not {"duplicates", "disagreements"} & set(plain)


def test_a_failure_has_the_lists_that_are_configured(start_daemon):
    """Without a word of the client."""
    daemon = start(start_daemon, REPORT)
    unknown = enrol(daemon, "nowhere", ("ada", OBAMA))
    assert_error(unknown, 1006)
    assert unknown["duplicates"] == unknown["disagreements"] == []
    refusing = start(start_daemon, REFUSE)
    unknown = enrol(refusing, "nowhere", ("ada", OBAMA))
    assert unknown["duplicates"] == [] and "disagreements" not in unknown


@pytest.mark.parametrize("field", ["duplicates", "disagreements"])
@pytest.mark.parametrize("value", [1, "true", None, []])
def test_the_fields_are_true_or_false(daemon, collection, field, value):
    """1011 with the name; nothing is stored."""
    answer = enrol(daemon, collection, ("obama", OBAMA), **{field: value})
    assert_error(answer, 1011)
    assert field in answer["detail"]
    assert daemon.features(collection) == 0


# recocomp enroll


@pytest.fixture
def mixed_up(tmp_path):
    """Ada is Obama, and so is Eve, whose second picture is of Biden."""
    folder = tmp_path / "album"
    for name, picture in (("ada/1", OBAMA), ("eve/1", OBAMA_2), ("eve/2", BIDEN), ("zoe/1", ASTRONAUT)):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(faces.file_bytes(picture))
    return folder


@pytest.mark.parametrize("through", ["data", "daemon"])
def test_enrolling_a_folder_tells_of_doubts(mixed_up, start_daemon, tmp_path, through):
    """Everything is stored; who did the mixing up is told which files to look at."""
    daemon = start_daemon() if through == "daemon" else None
    where = ["--server", f"127.0.0.1:{daemon.port}"] if daemon else ["--data", tmp_path / "data"]
    ended = run("enroll", mixed_up, "--collection", "staff", *where)
    assert ended.returncode == 0, ended.stderr
    doubtful = [line for line in ended.stdout.splitlines() if line.startswith("doubtful: ")]
    assert len(doubtful) == 2, ended.stdout
    assert "eve/1.jpg" in doubtful[0] and 'enrolled as "ada", too (score 0.99' in doubtful[0]
    assert "eve/2.jpg" in doubtful[1] and 'unlike the other faces of "eve" (score 0.0' in doubtful[1]
    assert "enrolled 4 pictures of 3 people, refused 0, doubtful 2" in ended.stdout
    daemon = daemon or start_daemon(data=tmp_path / "data")
    assert daemon.features("staff") == 4


def test_enrolling_a_folder_that_is_right_tells_nothing(mixed_up, tmp_path):
    (mixed_up / "eve/1.jpg").unlink()
    ended = run("enroll", mixed_up, "--collection", "staff", "--data", tmp_path / "data")
    assert ended.stdout.splitlines()[-1] == "enrolled 3 pictures of 3 people, refused 0"


def test_enrolling_refuses_duplicates_where_that_is_configured(mixed_up, tmp_path):
    config = tmp_path / "recocomp.toml"
    config.write_text(REFUSE)
    ended = run("enroll", mixed_up, "--collection", "staff", "--data", tmp_path / "data", "--config", config)
    assert ended.returncode == 2
    assert 'eve/1.jpg: this face is enrolled already, as "ada"' in ended.stdout and "doubtful" not in ended.stdout


def test_a_picture_is_doubtful_once(tmp_path, start_daemon):
    """One face under four names: three pictures are doubtful, with all the other names."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / "album").mkdir(exist_ok=True)
        (tmp_path / "album" / f"{name}.jpg").write_bytes(faces.file_bytes(OBAMA))
    config = tmp_path / "recocomp.toml"
    config.write_text("[enrolment]\nduplicate_fpir = 0.000001\n")
    daemon = start_daemon(config=config.read_text())
    for where in (["--data", tmp_path / "data", "--config", config], ["--server", f"127.0.0.1:{daemon.port}"]):
        said = run("enroll", tmp_path / "album", "--collection", "staff", *where).stdout
        assert "enrolled 4 pictures of 4 people, refused 0, doubtful 3" in said
        (last,) = [line for line in said.splitlines() if "d.jpg" in line]
        assert all(f'enrolled as "{name}"' in last for name in "abc")
        assert said.count("duplicates: among ") == 1 and "duplicate_fpir = 0.000001" in said, said


@pytest.mark.parametrize("through", ["data", "daemon"])
def test_a_model_that_tells_no_duplicates_enrols_all_the_same(mixed_up, start_daemon, tmp_path, through):
    """Its table has no impostor_cosine: that is said, and faces unlike their person's others are told."""
    shipped = (faces.FOLDER.parents[1] / "models" / "models.toml").read_text()
    table = tmp_path / "models.toml"
    table.write_text("\n".join(line for line in shipped.splitlines() if not line.startswith("impostor_cosine")))
    config = tmp_path / "recocomp.toml"
    config.write_text(f'[models]\ntable = "{table}"\n')
    where = ["--data", tmp_path / "data", "--config", config]
    if through == "daemon":
        where = ["--server", f"127.0.0.1:{start_daemon(config=config.read_text()).port}"]
    ended = run("enroll", mixed_up, "--collection", "staff", *where)
    assert ended.returncode == 0, ended.stderr
    assert "enrolled 4 pictures of 3 people, refused 0, doubtful 1" in ended.stdout
    assert ended.stderr.count("faces under two names are not looked for: duplicates:") == 1
