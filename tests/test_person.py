"""/person/list and /person/get: who is in a collection."""

import pytest

from contract import assert_error
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, portrait

HERE_WITH_TOKEN = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\ntoken_file = "{}"\n'
MISSING = object()


@pytest.fixture(scope="module")
def staff(shared_daemon):
    """Obama twice, biden once, and people whose ids sort around them. Tests only read it."""
    name = "person_staff"
    shared_daemon.ask("/create/collection", collection_name=name)
    batch = [("obama", OBAMA), ("biden", BIDEN), ("Zoe", ASTRONAUT), ("张三", ASTRONAUT), ("obama", OBAMA_2), ("a/b c", BIDEN)]
    assert shared_daemon.insert(name, *[(who, portrait(face)) for who, face in batch])["success_num"] == 6
    yield name
    shared_daemon.ask("/delete/collection", collection_name=name)


IN_ORDER = [("Zoe", 1), ("a/b c", 1), ("biden", 1), ("obama", 2), ("张三", 1)]


def rows(answer):
    assert answer["err_code"] == 0, answer
    return [(row["target_id"], row["feature_num"]) for row in answer["status"]]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everyone_in_byte_order_with_their_features(daemon, staff, method):
    """The documented answer, by both methods."""
    answer = daemon.ask("/person/list", method, collection_name=staff)
    assert set(answer) == {"err_code", "status", "total", "next"}
    assert rows(answer) == IN_ORDER
    assert answer["total"] == 5 and answer["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 1000])
def test_pages_of_any_size_make_up_everyone(daemon, staff, limit):
    """`next` of one page is `after` of the next; null begins and ends."""
    found, after = [], None
    for _ in range(6):
        page = daemon.ask("/person/list", collection_name=staff, limit=limit, after=after)
        assert len(page["status"]) <= limit and page["total"] == 5
        found += rows(page)
        after = page["next"]
        if after is None:
            break
    assert found == IN_ORDER


def test_after_need_not_be_anybody(daemon, staff):
    """Whoever was removed between two pages does not break the walk."""
    assert rows(daemon.ask("/person/list", collection_name=staff, after="bidenz")) == IN_ORDER[3:]
    assert rows(daemon.ask("/person/list", collection_name=staff, after="A")) == IN_ORDER
    assert rows(daemon.ask("/person/list", collection_name=staff, after="\U0010ffff")) == []


def test_changes_show_at_once_and_survive_a_restart(start_daemon):
    """An insert, an update, a deletion; then the same from the disk."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    assert rows(daemon.ask("/person/list", collection_name="staff")) == []
    daemon.insert("staff", ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)), ("biden", portrait(BIDEN)))
    assert rows(daemon.ask("/person/list", collection_name="staff")) == [("biden", 1), ("obama", 2)]
    daemon.update("staff", ("obama", portrait(OBAMA)))
    daemon.ask("/delete/id", collection_name="staff", target_id="biden")
    assert rows(daemon.ask("/person/list", collection_name="staff")) == [("obama", 1)]
    daemon.restart()
    assert rows(daemon.ask("/person/list", collection_name="staff")) == [("obama", 1)]
    daemon.ask("/clear/collection", collection_name="staff")
    assert daemon.ask("/person/list", collection_name="staff")["total"] == 0


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", [], True])
def test_a_wrong_limit_names_the_field(daemon, staff, limit):
    """1011."""
    answer = daemon.ask("/person/list", collection_name=staff, limit=limit)
    assert_error(answer, 1011)
    assert "limit" in answer["detail"]


def test_a_page_is_at_most_a_thousand_whatever_is_asked(daemon, staff):
    """A large limit is no error."""
    assert rows(daemon.ask("/person/list", collection_name=staff, limit=10**30)) == IN_ORDER


@pytest.mark.parametrize("after", [7, [], "", "a\nb", "x" * 256])
def test_a_wrong_after_names_the_field(daemon, staff, after):
    """It is a target_id."""
    answer = daemon.ask("/person/list", collection_name=staff, after=after)
    assert_error(answer, 1011)
    assert "after" in answer["detail"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_person_with_what_is_kept(daemon, staff, method):
    """Both features of obama agree; where there is one there is nothing to agree with."""
    answer = daemon.ask("/person/get", method, collection_name=staff, target_id="obama")
    assert set(answer) == {"err_code", "status"} and answer["err_code"] == 0
    person = answer["status"]
    assert set(person) == {"target_id", "feature_num", "features"}
    assert (person["target_id"], person["feature_num"]) == ("obama", 2)
    assert [feature["index"] for feature in person["features"]] == [0, 1]
    assert all(0.9 < feature["agreement"] <= 1 for feature in person["features"])
    alone = daemon.ask("/person/get", collection_name=staff, target_id="张三")["status"]
    assert alone["features"] == [{"index": 0, "agreement": None}]


def test_the_odd_one_out_shows(daemon, collection):
    """Two faces of obama and one of biden under one name: the third agrees with neither."""
    daemon.insert(collection, *[("obama", portrait(face)) for face in (OBAMA, OBAMA_2, BIDEN)])
    features = daemon.ask("/person/get", collection_name=collection, target_id="obama")["status"]["features"]
    first, second, odd = [feature["agreement"] for feature in features]
    assert first > 0.9 and second > 0.9 and odd < 0.3


def test_somebody_who_is_not_there(daemon, staff):
    """1013, and 1006 of a collection that is not; 1003 of a name that cannot be."""
    assert_error(daemon.ask("/person/get", collection_name=staff, target_id="nobody"), 1013)
    for path in ("/person/list", "/person/get"):
        assert_error(daemon.ask(path, collection_name="not_there", target_id="obama"), 1006)
        assert_error(daemon.ask(path, collection_name="9", target_id="obama"), 1003)


@pytest.mark.parametrize("value", [MISSING, None, 7, ["obama"], "", "a\nb"])
def test_a_wrong_target_id_names_the_field(daemon, staff, value):
    """1011."""
    fields = {} if value is MISSING else {"target_id": value}
    answer = daemon.ask("/person/get", collection_name=staff, **fields)
    assert_error(answer, 1011)
    assert "target_id" in answer["detail"]


def test_who_may_enter_is_for_those_who_may_change_it(start_daemon, tmp_path):
    """The people of the door's collection are listed to bearers of the token; those of another one to anybody."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    daemon = start_daemon(config=HERE_WITH_TOKEN.format(token))
    bearer = {"Authorization": "Bearer 0123456789abcdef0123"}
    for name in ("staff", "guests"):
        daemon.send("/create/collection", f'{{"collection_name": "{name}"}}', headers=bearer)
    for path, fields in (("/person/list", ""), ("/person/get", ', "target_id": "nobody"')):
        code = 0 if path == "/person/list" else 1013
        body = f'{{"collection_name": "staff"{fields}}}'
        refused = daemon.send(path, body)
        assert_error(refused, 1015)
        assert refused.http == 401 and "door.token_file" in refused["detail"]
        assert daemon.send(path, body, headers=bearer)["err_code"] == code
        assert daemon.send(path, body.replace("staff", "guests"))["err_code"] == code
