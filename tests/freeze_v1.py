"""Made data/v1.0.0 with the program of V1.0.0 (commit d84cc87, built with the development key):

    RECOCOMP_BIN=.../recocomp python tests/freeze_v1.py

It refuses to do it twice. A later release freezes a folder of its own.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import ed25519
from daemon import ROOT, Daemon, run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, portrait
from frozen import CONFIG, DEVICE, FROZEN, HIDDEN, JOSE, KEY_FILE, PASSPHRASE_FILE, ZOE, answers, copy, daemon_on, events
from galleries import PASSPHRASE, crc32c

VERSION = "1.0.0"
SECRET = bytes.fromhex((ROOT / "tests/data/development-license.key").read_text().split("secret: ")[1].split()[0])
SEAL, PLAIN = "[storage]\nseal = true\n", "[storage]\nseal = false\n"
DOOR = """\
[door]
enabled = true
board = "simulated"
collection = "staff"
clients = ["127.0.0.1"]
pulse_ms = 500
"""


def create(daemon: Daemon, collection: str, *faces: tuple[str, str]) -> None:
    assert daemon.ask("/create/collection", collection_name=collection)["err_code"] == 0
    add(daemon, collection, *faces)


def add(daemon: Daemon, collection: str, *faces: tuple[str, str]) -> None:
    if faces:
        answer = daemon.insert(collection, *[(who, portrait(picture)) for who, picture in faces])
        assert answer["success_num"] == len(faces), answer


def license() -> bytes:
    device = run("device-id", env={**os.environ, **DEVICE}).stdout.strip()
    fields = {
        "license": "L-1000",
        "device": device,
        "customer": "Café",
        "issued": "2026-11-27T00:00:00Z",
        "expires": "2031-06-01T00:00:00Z",
        "grace-days": "14",
        "collections": "unlimited",
        "people": "unlimited",
        "features": "none",
        "clock-reset": "no",
    }
    lines = "recocomp license 1\n" + "".join(f"{key}: {value}\n" for key, value in fields.items())
    return lines.encode() + b"signature: " + ed25519.sign(SECRET, lines.encode()).hex().encode() + b"\n"


def crc32c_append(crc: int, data: bytes) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def in_the_first_format(journal: bytes) -> bytes:
    """A plain journal of format 2 that begins with nobody, as format 1 has it: no flags, and `Begin` stands there once."""
    assert journal[:8] == b"recojrnl" and journal[8:12] == (2).to_bytes(4, "little") and journal[12:16] == bytes(4)
    header = journal[:8] + (1).to_bytes(4, "little") + bytes(4) + journal[16:60]
    seed = crc32c(header)
    out, at, sequence = header + seed.to_bytes(4, "little"), 64, 0
    while at < len(journal):
        length = int.from_bytes(journal[at : at + 4], "little")
        end = at + 16 + -(-length // 16) * 16
        if int.from_bytes(journal[at + 8 : at + 12], "little") != 1:
            head = journal[at : at + 8] + sequence.to_bytes(4, "little")
            out += head + crc32c_append(seed, head).to_bytes(4, "little") + journal[at + 16 : end]
            sequence += 1
        at = end
    return out


def open_door(daemon: Daemon, picture: str) -> dict:
    answer = daemon.ask("/face/search", collection_name="staff", face_image=picture, top_k=1, open=True)
    return answer.get("door", answer)


def use_door(daemon: Daemon) -> None:
    """People who enter, somebody who is refused, the exit button, a door that moves."""
    inputs = daemon.data / "door" / "simulated" / "inputs"

    def set_inputs(*names: str) -> None:
        inputs.write_text(" ".join(names))

    assert open_door(daemon, portrait(OBAMA_3))["opened"]
    wait_until(lambda: open_door(daemon, portrait(BIDEN))["opened"], 30, "the next person opens after the cool-down")
    assert not open_door(daemon, portrait(ASTRONAUT))["opened"]
    set_inputs("button")
    wait_until(lambda: any(event.get("by") == "button" for event in seen(daemon)), 30, "the button opens")
    set_inputs("open")
    wait_until(lambda: any(event["event"] == "door_opened" for event in seen(daemon)), 30, "the door is seen to open")
    set_inputs()
    wait_until(lambda: any(event["event"] == "door_closed" for event in seen(daemon)), 30, "and to close")


def seen(daemon: Daemon) -> list[dict]:
    return events(daemon.data, daemon.folder)


def is_compacted(data: Path) -> bool:
    return bool(list((data / "gallery").glob("*/gen-*.rkyv")))


def main() -> None:
    assert not FROZEN.exists(), f"{FROZEN} is frozen"
    assert run("--version").stdout.split()[-1].removeprefix("V") == VERSION, "only V1.0.0 can freeze its folder"
    FROZEN.mkdir(parents=True)
    CONFIG.write_text(SEAL + "\n" + DOOR, "utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        freeze(Path(scratch))


def freeze(scratch: Path) -> None:
    # In plain: one collection with a generation and a journal, one with a journal alone, and one for the first format.
    plain = scratch / "plain"
    install(plain)
    daemon = daemon_on(plain, scratch / "1", PLAIN).start()
    licensed(daemon)
    create(daemon, "plain", ("obama", OBAMA), ("gone", BIDEN))
    assert daemon.ask("/delete/id", collection_name="plain", target_id="gone")["err_code"] == 0
    add(daemon, "plain", ("eileen", ASTRONAUT), ("obama", OBAMA_2))
    create(daemon, "journal_only", ("biden", BIDEN), ("eileen", ASTRONAUT))
    create(daemon, "first_format", ("obama", OBAMA), ("obama", OBAMA_3), ("biden", BIDEN), ("Zo\u00eb", ASTRONAUT))
    daemon.stop()
    folders = {row["name"]: plain / "gallery" / row["uuid"] for row in offline(plain, scratch / "1")}
    journal = folders["first_format"] / "journal-1"
    journal.write_bytes(in_the_first_format(journal.read_bytes()))
    assert [path.name for path in folders["first_format"].iterdir()] == ["journal-1"]
    assert is_compacted(plain)

    # Sealed: the staff of a door with a generation and a journal, and names that a later release may refuse.
    data = scratch / "data"
    install(data)
    daemon = daemon_on(data, scratch / "2").start()
    licensed(daemon)
    create(daemon, "staff", ("obama", OBAMA), ("gone", ASTRONAUT), ("biden", BIDEN))
    assert daemon.ask("/delete/id", collection_name="staff", target_id="gone")["err_code"] == 0
    add(daemon, "staff", ("obama", OBAMA_2))
    create(daemon, "empty")
    create(daemon, "names", *zip(JOSE, (OBAMA, OBAMA)), *zip(ZOE, (BIDEN, ASTRONAUT)))
    create(daemon, "hidden_names", *((who, picture) for who, picture in zip(HIDDEN, (OBAMA, BIDEN, ASTRONAUT, OBAMA_2, BIDEN))))
    use_door(daemon)
    daemon.stop()
    # The events so far are put aside, as V1.0.0 does when they have 4 MiB; the next ones go on.
    door = data / "door"
    (door / "events.jsonl").rename(door / "events.1.jsonl")
    daemon.start()
    licensed(daemon)
    assert open_door(daemon, portrait(OBAMA))["opened"]
    daemon.stop()

    # In plain beside sealed: as if sealing had been turned on just before the update.
    for folder in folders.values():
        shutil.copytree(folder, data / "gallery" / folder.name)
    for left in ("gallery/LOCK", "door/lock", "door/simulated/lock", "door/simulated/inputs", "daemon.address"):
        (data / left).unlink(missing_ok=True)
    shutil.copytree(data, FROZEN / "data")

    # What V1.0.0 says about it. It works on a copy, because it writes the older files anew.
    served = copy(scratch / "copy")
    daemon = daemon_on(served, scratch / "3").start()
    said = answers(daemon)
    daemon.stop()
    said["events"] = events(FROZEN / "data", scratch / "3")
    (FROZEN / "answers.json").write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")

    PASSPHRASE_FILE.write_text(PASSPHRASE + "\n")
    PASSPHRASE_FILE.chmod(0o600)
    backup("passphrase.backup", "--passphrase-file", PASSPHRASE_FILE)
    ended = run("backup-key", KEY_FILE)
    assert ended.returncode == 0, ended.stderr
    backup("key.backup", "--recipient", ended.stdout.strip())
    total = sum(path.stat().st_size for path in FROZEN.rglob("*") if path.is_file())
    print(f"{FROZEN}: {total} bytes")
    for path in sorted(path for path in FROZEN.rglob("*") if path.is_file()):
        print(f"  {path.stat().st_size:>8} {path.relative_to(FROZEN)}")


def install(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "recocomp.license").write_bytes(license())


def licensed(daemon: Daemon) -> None:
    wait_until(lambda: daemon.ask("/license")["status"] == "Authorized", 10, f"licensed: {daemon.ask('/license')}")


def offline(data: Path, folder: Path) -> list[dict]:
    ended = run("collection", "list", "--json", "--data", data, env={**os.environ, **DEVICE})
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["collections"]


def backup(name: str, *lock) -> None:
    ended = run("backup", FROZEN / name, *lock, "--data", FROZEN / "data", env={**os.environ, **DEVICE})
    assert ended.returncode == 0, ended.stderr


if __name__ == "__main__":
    sys.exit(main())
