"""`recocomp enroll` of folders as cameras, telephones, Macs, Windows and network drives leave them, and run by root."""

import os
import stat
from pathlib import Path

import pytest

from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, file_bytes, portrait

# Owners that are neither root nor anybody.
SERVICE = (12345, 12346)

THROWN_AWAY = [
    ".Trash-1000/files/mallory/1.jpg",
    ".Trashes/501/mallory.jpg",
    "#recycle/mallory/1.jpg",
    "@Recycle/mallory/1.jpg",
    "$RECYCLE.BIN/S-1-5-21-1/mallory.jpg",
    "lost+found/#1234",
    "ada/@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "ada/.@__thumb/default1.jpg",
    "ada/.thumbnails/1.jpg",
    ".stversions/mallory/1.jpg",
    ".dropbox.cache/2026-11-27/mallory.jpg",
    "__MACOSX/ada/1.jpg",
    "System Volume Information/1.jpg",
    "Fotos.photoslibrary/resources/derivatives/1.jpg",
]
BESIDE = {
    "ada/Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "ada/desktop.ini": b"[.ShellClassInfo]\r\n",
    "ada/1.xmp": b"<x:xmpmeta/>",
    "ada/1.jpg.json": b"{}",
    "ada/notes.txt": b"about ada",
    "ada/.DS_Store": b"\0\0\0\1Bud1",
    "ada/._1.jpg": b"\0\5\x16\7",
}


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, contents in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


@pytest.fixture
def stick(tmp_path):
    """Ada's picture; somebody else's in everything that is thrown away, and what lies beside pictures."""
    put(tmp_path / "stick", {"ada/1.jpg": file_bytes(ASTRONAUT), **{name: file_bytes(BIDEN) for name in THROWN_AWAY}, **BESIDE})
    return tmp_path / "stick"


def test_nobody_is_enrolled_out_of_trash_and_thumbnails(stick, daemon, fresh_name):
    """Ada alone; everything else is counted with its reason, and nothing of it is a picture that was refused."""
    ended = run("enroll", stick, "--collection", fresh_name, "--server", f"127.0.0.1:{daemon.port}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    people = daemon.ask("/person/list", collection_name=fresh_name)
    daemon.ask("/delete/collection", collection_name=fresh_name)
    assert "enrolled 1 pictures of 1 people, refused 0" in ended.stdout, ended.stdout
    assert "ada" in str(people["status"]) and "mallory" not in str(people), people
    told = "\n".join(line for line in ended.stdout.splitlines() if line.startswith("passed over: "))
    for name in (".Trash-1000", "#recycle", "Thumbs.db"):
        assert name in told, ended.stdout
    assert f"passed over {len(THROWN_AWAY) + len(BESIDE)}" in ended.stdout, ended.stdout


def test_a_picture_that_cannot_be_read_is_told(stick, tmp_path):
    """A kind that is not understood, a cut file and a picture named as a text are no stuff that lies beside."""
    put(stick, {"ada/phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "ada/cut.jpg": file_bytes(OBAMA)[:2000], "eve/misnamed.txt": file_bytes(OBAMA)})
    ended = run("enroll", stick, "--collection", "staff", "--data", tmp_path / "data")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    refused = [line for line in ended.stdout.splitlines() if line.startswith("refused: ")]
    assert len(refused) == 2 and "cut.jpg" in refused[0] and "phone.heic" in refused[1], ended.stdout
    assert "enrolled 2 pictures of 2 people, refused 2" in ended.stdout


def test_a_folder_with_nothing_but_trash(tmp_path):
    put(tmp_path / "stick", {".Trash-1000/files/mallory.jpg": file_bytes(BIDEN)})
    ended = run("enroll", tmp_path / "stick", "--collection", "staff", "--data", tmp_path / "data")
    assert ended.returncode == 1 and "no pictures" in ended.stderr and ".Trash-1000" in ended.stderr, ended


def test_links_to_folders_elsewhere_are_followed_when_asked(tmp_path):
    """By default a stick cannot have folders of the device enrolled."""
    put(tmp_path, {"stick/ada/1.jpg": file_bytes(ASTRONAUT), "elsewhere/1.jpg": file_bytes(BIDEN)})
    (tmp_path / "stick" / "mallory").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "stick" / "ada" / "round").symlink_to("..")
    arguments = ["enroll", tmp_path / "stick", "--collection", "staff", "--data", tmp_path / "data"]
    ended = run(*arguments)
    assert ended.returncode == 0 and "enrolled 1 pictures of 1 people" in ended.stdout, ended.stdout + ended.stderr
    assert "--follow-links" in ended.stdout and "mallory" in ended.stdout and "ada/round" in ended.stdout
    followed = run(*arguments[:3], "second", *arguments[4:], "--follow-links")
    assert followed.returncode == 0 and "of 2 people" in followed.stdout, followed.stdout + followed.stderr


# Run by root


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in [folder, *folder.rglob("*")]}


def test_what_root_runs_leaves_files_of_the_service(tmp_path):
    """The data folder is a service's. Whoever may make files for it (root) leaves none of his own; others own what they make anyway."""
    service = SERVICE if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    data, album = tmp_path / "data", tmp_path / "album"
    data.mkdir()
    os.chown(data, *service)
    put(album, {"obama/1.jpg": file_bytes(OBAMA_2)})
    # A home that nobody else may look into.
    album.chmod(0o700)
    secret = tmp_path / "passphrase"
    secret.write_text("five words that nobody guesses\n")
    secret.chmod(0o600)
    for arguments in (
        ["enroll", album, "--collection", "staff", "--data", data],
        ["backup", tmp_path / "backup", "--passphrase-file", secret, "--data", data],
        ["restore", tmp_path / "backup", "--replace", "--passphrase-file", secret, "--data", data],
        ["upgrade", "--data", data],
        ["door", "test", "--board", "simulated", "--seconds", "0", "--data", data],
    ):
        ended = run(*arguments)
        assert ended.returncode == 0, (arguments[0], ended.stdout, ended.stderr)
        assert owners(data) == {service}, arguments[0]
    # Not there: no license; what was made on the way is the service's all the same.
    assert run("license", "install", secret, "--data", data).returncode == 1
    assert owners(data) == {service}
    assert stat.S_IMODE((data / "gallery").stat().st_mode) == 0o700


def test_a_gallery_of_root_in_a_lent_folder_stays_roots(tmp_path, start_daemon):
    """As in a container: the daemon runs as root in another user's folder, and the verbs go on working on its files."""
    data = tmp_path / "data"
    data.mkdir()
    put(tmp_path / "album", {"obama/1.jpg": file_bytes(OBAMA_2)})
    me = (os.geteuid(), os.getegid())
    start_daemon(data=data).stop()
    if me[0] == 0:
        os.chown(data, *SERVICE)
    ended = run("enroll", tmp_path / "album", "--collection", "staff", "--data", data)
    assert ended.returncode == 0, ended.stderr
    assert owners(data / "gallery") == {me}
    daemon = start_daemon(data=data)
    assert list(daemon.search("staff", portrait(OBAMA))) == ["obama"]
