"""What is missing for a build is found by using it: cross/lib/tools.sh, cross/lib/places.sh, and what they hand on to make."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon import ROOT


def bash(command: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
    )


def has(tool: str, **environment) -> bool:
    ended = bash(f". cross/lib/tools.sh; if {tool}; then echo yes; else echo no; fi", **environment)
    assert ended.returncode == 0 and ended.stdout in ("yes\n", "no\n"), ended
    return ended.stdout == "yes\n"


@pytest.fixture
def stand_in(tmp_path):
    """Puts a program before all others; the PATH with it."""

    def make(name: str, text: str) -> str:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
        return f"{tmp_path / 'bin'}:{os.environ['PATH']}"

    return make


def test_everything_is_here_where_the_tests_run():
    """The tools that built what is tested."""
    for tool in ("has_compiler g++", "runs cmake", "runs ninja", "has_openssl", "has_libclang"):
        assert has(tool), tool


def test_the_runtime_of_llvm_is_no_libclang(tmp_path):
    """libclang-cpp, a link to nothing, a text and another library are none, however they are called; the real one is, under any name."""
    library = Path(bash("ldd /bin/bash | sed -n 's,.*=> \\(/.*libc[.]so[^ ]*\\) .*,\\1,p'").stdout.strip())
    assert library.exists()
    for name in ("libclang-cpp.so.14", "libclang-cpp.so", "libclang-14.so.1", "libclang.so"):
        shutil.copy(library, tmp_path / name)
    assert not has("has_libclang", LIBCLANG_PATH=tmp_path)
    (tmp_path / "libclang.so").write_text("INPUT(libclang-14.so.1)")
    (tmp_path / "libclang-15.so").symlink_to("nowhere")
    assert not has("has_libclang", LIBCLANG_PATH=tmp_path)
    assert not has("has_libclang", LIBCLANG_PATH="/nowhere")


def test_a_compiler_that_compiles_nothing_is_none(stand_in):
    path = stand_in("g++", "#!/bin/sh\nexit 1\n")
    assert not has("has_compiler g++", PATH=path)
    assert not has("has_compiler no-such-compiler")


def test_a_tool_that_does_not_start_is_none(stand_in):
    path = stand_in("ninja", "#!/no/such/interpreter\n")
    assert not has("runs ninja", PATH=path)


def test_a_python_without_pip_makes_no_environments(stand_in):
    path = stand_in("python3", f"#!/bin/sh\ncase \"$*\" in *ensurepip*) exit 1;; esac\nexec {shutil.which('python3')} \"$@\"\n")
    assert not has("has_venv", PATH=path)


def test_openssl_is_asked_of_pkg_config(stand_in):
    assert not has("has_openssl", PATH=stand_in("pkg-config", "#!/bin/sh\nexit 1\n"))
    assert not has("has_openssl", OPENSSL_DIR="/nowhere")


def test_what_is_missing_is_said_with_the_packages_where_nobody_may_install(tmp_path, stand_in):
    """No apt-get: the packages by name, and the exit code of a failure, before anything is compiled."""
    for name in ("g++", "ninja"):
        path = stand_in(name, "#!/bin/sh\nexit 1\n")
    # A world of its own in which there is no apt-get.
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*") if Path(folder).is_dir() else []:
            if program.name not in ("apt-get", "g++", "ninja") and not (tmp_path / "bin" / program.name).exists():
                (tmp_path / "bin" / program.name).symlink_to(program)
    ended = bash("cross/setup.sh", PATH=tmp_path / "bin", RECOCOMP_CACHE=tmp_path / "cache")
    assert path and ended.returncode == 1, ended
    assert "There is no apt-get here" in ended.stderr and "g++ ninja-build" in ended.stderr, ended
    assert not list((tmp_path / "cache").glob("setup-*")), "nothing is remembered as complete"


def test_a_home_that_cannot_be_written_to_is_no_obstacle(tmp_path):
    """The cache and cargo's home are elsewhere then; what is set counts more, whatever its name."""
    made = Path(f"/var/tmp/recocomp-cache-{os.getuid()}")
    before = made.exists()
    clean = {"HOME": "/dev/null", "XDG_CACHE_HOME": "", "RECOCOMP_CACHE": "", "CARGO_HOME": ""}
    assert bash("cross/lib/places.sh cache", **clean).stdout == f"{made}\n"
    assert made.stat().st_mode & 0o777 == 0o700
    if not before:
        made.rmdir()
    odd = tmp_path / "Prüf stand"
    assert bash("cross/lib/places.sh cache", **{**clean, "RECOCOMP_CACHE": odd}).stdout == f"{odd}\n"
    assert bash("cross/lib/places.sh cargo-home", **{**clean, "RECOCOMP_CACHE": odd}).stdout == f"{odd}/cargo\n"
    assert bash("cross/lib/places.sh cargo-home", **{**clean, "CARGO_HOME": tmp_path}).stdout == ""
