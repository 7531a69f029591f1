"""What the package makes of the command line: manual pages and completions."""

import re
import subprocess

import pytest

from daemon import run


def verbs(*above: str) -> list[str]:
    """The verbs that `--help` lists."""
    listed = run(*above, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    return [verb for verb in re.findall(r"^  ([a-z-]+)", listed, re.MULTILINE) if verb != "help"]


def test_there_is_a_page_for_every_verb(tmp_path):
    """recocomp.1, recocomp-serve.1, recocomp-license-show.1: each with its name, what it does and its options."""
    ended = run("man", tmp_path / "man")
    assert ended.returncode == 0, ended.stderr
    expected = {"recocomp"}
    for verb in verbs():
        expected.add(f"recocomp-{verb}")
        expected |= {f"recocomp-{verb}-{below}" for below in verbs(verb)}
    assert {"recocomp-serve", "recocomp-doctor", "recocomp-license-show"} <= expected
    pages = {path.stem: path.read_text() for path in (tmp_path / "man").iterdir()}
    assert set(pages) == expected
    for name, page in pages.items():
        assert f".TH {name.upper()} 1" in page and ".SH NAME" in page and ".SH SYNOPSIS" in page, name
    assert "\\-\\-listen" in pages["recocomp-serve"]
    assert run("man", tmp_path / "again").returncode == 0
    assert pages == {path.stem: path.read_text() for path in (tmp_path / "again").iterdir()}, "no date, nothing by chance"


def test_the_first_page_alone():
    ended = run("man")
    assert ended.returncode == 0 and ended.stdout.count(".TH") == 1
    assert "recocomp\\-serve(1)" in ended.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_know_every_verb(shell):
    ended = run("completions", shell)
    assert ended.returncode == 0, ended.stderr
    assert all(verb in ended.stdout for verb in verbs())
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=ended.stdout, text=True, check=True)
        asked = "COMP_WORDS=(recocomp lic); COMP_CWORD=1; _recocomp recocomp lic recocomp; echo ${COMPREPLY[@]}"
        answered = subprocess.run(["bash", "-c", ended.stdout + asked], capture_output=True, text=True)
        assert answered.stdout.split() == ["license"], answered


def test_a_shell_that_is_not_known():
    ended = run("completions", "cmd.exe")
    assert ended.returncode == 2 and "bash" in ended.stderr
