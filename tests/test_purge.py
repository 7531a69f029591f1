"""What `purge` leaves of the enrolled people: the package's own script, on a folder in place of /var/lib/recocomp."""

import shutil
import subprocess

import pytest

from daemon import ROOT

SCRIPT = ROOT / "systemd/debian/postrm"


@pytest.fixture
def purge(tmp_path):
    """Runs the script with the few commands that it needs, and without those that speak to the machine's service manager."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("find", "readlink", "rm", "rmdir"):
        (commands / name).symlink_to(shutil.which(name))
    return lambda data: run_script(data, commands)


def run_script(data, commands) -> str:
    surroundings = {"PATH": str(commands), "RECOCOMP_DATA": str(data)}
    ended = subprocess.run([shutil.which("sh"), SCRIPT, "purge"], env=surroundings, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def people(tmp_path):
    """A folder with something of each kind in it."""
    folder = tmp_path / "people"
    (folder / "gallery/uuid").mkdir(parents=True)
    (folder / "gallery/uuid/journal-1").write_text("templates")
    (folder / ".hidden").write_text("templates")
    return folder


def test_the_folder_goes_with_all_that_is_in_it(purge, people):
    assert purge(people) == ""
    assert not people.exists()


def test_a_link_is_followed_and_that_is_said(purge, people, tmp_path):
    """An installer who put the data on another medium loses it as everybody else does, and reads where it lay."""
    link = tmp_path / "link"
    link.symlink_to(people)
    said = purge(link)
    assert str(people) in said
    assert not people.exists() and not link.is_symlink()


def test_links_within_the_folder_are_not_followed(purge, people, tmp_path):
    """What somebody else keeps elsewhere stays."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "picture.jpg").write_text("mine")
    (people / "gallery/link").symlink_to(other)
    purge(people)
    assert not people.exists() and (other / "picture.jpg").exists()


def test_a_link_to_nothing_goes_too(purge, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "unplugged")
    purge(link)
    assert not link.is_symlink()
