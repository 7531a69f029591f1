"""What only a release can be asked. `make test-release`: RECOCOMP_RELEASE_BIN names a release, RECOCOMP_BIN a development build."""

import os
import re
import subprocess
from pathlib import Path

from test_license import OWN, fingerprint, signed, text

RELEASE = os.environ["RECOCOMP_RELEASE_BIN"]


def run(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([RELEASE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options)


def test_a_release_is_not_licensed_by_the_development_key(tmp_path):
    """Nor does it know the variables by which tests make up a device and a clock."""
    device = run("device-id", env={**os.environ, **OWN}).stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", device) and device != fingerprint()
    (tmp_path / "recocomp.license").write_bytes(signed(text(device=device, issued="2026-11-22T00:00:00Z", expires="never")))
    shown = run("license", "show", "--data", tmp_path)
    assert shown.returncode == 1 and "Invalid" in shown.stdout, shown
    assert b"RECOCOMP_TEST_" not in Path(RELEASE).read_bytes()


def test_a_release_has_no_development_mode(tmp_path):
    ended = run("serve", "--development", "--listen", "127.0.0.1:0", "--data", tmp_path)
    assert ended.returncode != 0 and "--development" in ended.stderr, ended
