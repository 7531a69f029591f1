"""The data folder that V1.0.0 left, frozen in data/v1.0.0, and the questions that every later release must answer as it did.

`freeze_v1.py` made the folder and answers.json with the program of V1.0.0; nothing writes them again.
"""

import json
import os
import shutil
import unicodedata
from pathlib import Path

from daemon import Daemon, run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, portrait

FROZEN = Path(__file__).resolve().parent / "data" / "v1.0.0"
# Journals are sealed to a device and a license is for one: this one, on any machine.
SERIAL = "10000000c0ffee10"
DEVICE = {"RECOCOMP_TEST_DEVICE": SERIAL}
# The license of the folder is valid then.
TODAY = "2030-06-01T12:00:00Z"
PASSPHRASE_FILE = FROZEN / "passphrase"
KEY_FILE = FROZEN / "backup.key"
CONFIG = FROZEN / "recocomp.toml"
PICTURES = [OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT]
# One name in two forms of Unicode with the same face, and one with two faces that are not alike.
JOSE = ["Jos\u00e9", "Jose\u0301"]
ZOE = ["Zo\u00eb", "Zoe\u0308"]
# Names that look like others or like nothing.
HIDDEN = ["ada ", "\u200bben", "\ufeffcarla", "\u202edora", "ada"]


def copy(to: Path) -> Path:
    """The frozen data folder, for a test to change."""
    return Path(shutil.copytree(FROZEN / "data", to))


def environment(folder: Path, today: str = TODAY) -> dict[str, str]:
    """The device and the day of the frozen folder."""
    clock = folder / "clock"
    clock.write_text(today)
    return {**DEVICE, "RECOCOMP_TEST_CLOCK": str(clock), "TZ": "UTC"}


def daemon_on(data: Path, folder: Path, config: str | None = None, today: str = TODAY) -> Daemon:
    """A daemon of the binary under test on a data folder: with its license, its door and its device."""
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.read_text("utf-8") if config is None else config
    return Daemon(folder, config=text, data=data, development=False, environment=environment(folder, today))


def ask_offline(folder: Path, *arguments) -> list[dict]:
    """The JSON lines that a verb prints."""
    ended = run(*arguments, env={**os.environ, **environment(folder)})
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def events(data: Path, folder: Path) -> list[dict]:
    """The door's events, the oldest first."""
    return ask_offline(folder, "door", "events", "--last", 0, "--json", "--data", data)


def answers(daemon: Daemon) -> dict:
    """What a daemon says about everything that is in its folder, and changes nothing of it."""
    wait_until(lambda: daemon.ask("/license")["status"] == "Authorized", 10, f"licensed: {daemon.ask('/license')}")
    license = daemon.ask("/license")
    status = sorted(daemon.status(), key=lambda row: row["collection_name"])
    collections = [row["collection_name"] for row in status]
    return {
        "license": {key: license[key] for key in ("status", "detail")},
        "status": status,
        "people": {name: people(daemon, name) for name in collections},
        "searches": {name: {picture: daemon.search(name, portrait(picture)) for picture in PICTURES} for name in collections},
    }


def people(daemon: Daemon, collection: str) -> dict[str, int]:
    """Features by target_id."""
    found, after = {}, None
    while True:
        page = daemon.ask("/person/list", collection_name=collection, after=after)
        assert page["err_code"] == 0, page
        found |= {row["target_id"]: row["feature_num"] for row in page["status"]}
        after = page["next"]
        if after is None:
            return found


def expected() -> dict:
    """What V1.0.0 answered."""
    return json.loads((FROZEN / "answers.json").read_text("utf-8"))


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
