"""lifecycle.py ROOT KEY: the Debian package from its first installation to its purge, in the Debian for ARM that lies in ROOT.

ROOT/packages holds first.deb and second.deb, a newer version. KEY is the vendor key that they believe. Runs inside enter.sh: programs of
ROOT run under qemu-user, and all ends with it. systemd cannot be the first process there, so `systemctl` is a stand-in that writes
down what it is told and does only what needs no running systemd; the daemon is started as the unit says, by hand. Each line printed is something that was seen to be so."""

import base64
import json
import re
import shlex
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import ed25519  # noqa: E402

ROOT, KEY = Path(sys.argv[1]), Path(sys.argv[2])
# The processor of the Raspberry Pi 3 and Zero 2 W.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root", "QEMU_CPU": "cortex-a53"}
PORT = 18080
UNIT = "usr/lib/systemd/system/recocomp.service"
CONFIG, DATA = ROOT / "etc/recocomp/recocomp.toml", ROOT / "var/lib/recocomp"
SERVES_WITHIN = 300  # seconds
# Exposure of 0 (confined) to 10 that systemd-analyze may find at most.
MAX_EXPOSURE = 1.5


def seen(what: str, condition: object) -> None:
    """Prints what is so, or ends the test."""
    if not condition:
        sys.exit(f"NOT SO: {what}")
    print(f"  {what}", flush=True)


def inside(*command: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs a command of the Debian to its end."""
    environment = ENVIRONMENT | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["chroot", ROOT, *command], capture_output=True, text=True, timeout=900, env=environment, check=False)
    if check and done.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def prepare() -> None:
    """Devices, processes, an identity, and the stand-in for systemctl."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", ROOT / "dev"], check=True)
    for device in ("null", "zero", "full", "random", "urandom"):
        (ROOT / "dev" / device).touch()
        subprocess.run(["mount", "--bind", f"/dev/{device}", ROOT / "dev" / device], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", ROOT / "proc"], check=True)
    # The runtime asks there which processors there are, and takes no network without an answer.
    subprocess.run(["mount", "--rbind", "/sys", ROOT / "sys"], check=True)
    (ROOT / "etc/machine-id").write_text("00112233445566778899aabbccddeeff\n")
    (ROOT / "run/systemd/system").mkdir(parents=True)
    real = ROOT / "usr/bin/systemctl.real"
    inside("dpkg-divert", "--local", "--rename", "--divert", "/usr/bin/systemctl.real", "--add", "/usr/bin/systemctl")
    assert real.exists()
    stand_in = ROOT / "usr/bin/systemctl"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>/run/systemctl\ncase "$*" in *--root=*|*is-*) exec systemctl.real "$@" ;; esac\n')
    stand_in.chmod(0o755)


def asked_of_systemd() -> str:
    """What systemctl was told since the last call."""
    file = ROOT / "run/systemctl"
    told = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    return told


def ids(name: str) -> tuple[int, int]:
    for line in (ROOT / "etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2]), int(fields[3])
    sys.exit(f"NOT SO: there is a user {name}")


def rights(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def as_daemon(*command: str) -> list:
    return ["chroot", ROOT, "setpriv", "--reuid=recocomp", "--regid=recocomp", "--init-groups", "--no-new-privs", *command]


class Daemon:
    """The daemon as the unit starts it: its command line, its user, its umask."""

    def __init__(self):
        line = next(line for line in (ROOT / UNIT).read_text().splitlines() if line.startswith("ExecStart="))
        self.log = open(ROOT / "daemon.log", "ab")
        command = as_daemon(*shlex.split(line.removeprefix("ExecStart=")))
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=ENVIRONMENT, umask=0o077)
        deadline = time.monotonic() + SERVES_WITHIN
        while True:
            try:
                ask("/version")
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"the daemon does not serve:\n{(ROOT / 'daemon.log').read_text()}")
                time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(120) == 0, (ROOT / "daemon.log").read_text()


def ask(path: str, **fields) -> dict:
    url = f"http://127.0.0.1:{PORT}/api/v1/engine/recocomp{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, json.dumps(fields).encode()), timeout=300) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def license_this_device() -> None:
    """As the vendor does it, by the request that the device writes."""
    request = inside("recocomp", "license", "request", "--customer", "the test").stdout
    device = re.search(r"[0-9a-f]{64}", request).group()
    secret = bytes.fromhex(KEY.read_text().split("secret: ")[1].split()[0])
    issued = datetime.now(UTC) - timedelta(hours=1)
    lines = f"""recocomp license 1
license: 1
device: {device}
customer: the test
issued: {issued:%Y-%m-%dT%H:%M:%SZ}
expires: never
grace-days: 14
collections: unlimited
people: unlimited
features: none
clock-reset: no
"""
    signed = f"{lines}signature: {ed25519.sign(secret, lines.encode()).hex()}\n"
    (ROOT / "tmp/recocomp.license").write_text(signed)
    command = as_daemon("recocomp", "license", "install", "/tmp/recocomp.license")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT, check=False)
    seen("a license of the vendor is installed by the daemon's user", done.returncode == 0 or sys.exit(done.stderr))


def package_state() -> str:
    return inside("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Version}", "recocomp", check=False).stdout


def files() -> list[str]:
    return [line for line in inside("dpkg", "--listfiles", "recocomp").stdout.splitlines() if (ROOT / line[1:]).is_file()]


def found() -> dict:
    picture = base64.b64encode((HERE.parent / "pictures/astronaut.jpg").read_bytes()).decode()
    answer = ask("/face/search", collection_name="staff", face_image=picture, top_k=1)
    return {row["result"]: row["score"] for row in answer.get("status", [])}


def install() -> None:
    print("first installation")
    inside("dpkg", "--install", "/packages/first.deb")
    owner = ids("recocomp")
    seen(f"it is installed: {package_state()}", package_state().startswith("ii "))
    seen(f"the user recocomp has the number {owner[0]}, a system user's", 0 < owner[0] < 1000)
    shell = next(line for line in (ROOT / "etc/passwd").read_text().splitlines() if line.startswith("recocomp:")).rsplit(":", 1)[1]
    seen(f"and cannot log in ({shell})", shell.endswith("nologin"))
    groups = inside("id", "-nG", "recocomp").stdout.split()
    seen(f"its groups are {' '.join(groups)}", set(groups) == {"recocomp", "gpio"})
    seen("the data folder is its own, 0700", rights(DATA) == (0o700, *owner))
    seen("the program is root's, 0755", rights(ROOT / "usr/bin/recocomp") == (0o755, 0, 0))
    seen("the configuration is root's, 0644", rights(CONFIG) == (0o644, 0, 0))
    seen("the unit is enabled", (ROOT / "etc/systemd/system/multi-user.target.wants/recocomp.service").is_symlink())
    seen("the socket is not", not (ROOT / "etc/systemd/system/sockets.target.wants/recocomp.socket").is_symlink())
    told = asked_of_systemd()
    seen("systemd is told to read its units again and to start the daemon", "daemon-reload" in told and re.search(r"\bstart .*recocomp", told))
    for file in ("man/man1/recocomp.1.gz", "man/man1/recocomp-serve.1.gz", "doc/recocomp/copyright", "doc/recocomp/recocomp.cdx.json",
                 "bash-completion/completions/recocomp", "recocomp/board/rpi4.toml"):
        seen(f"there is /usr/share/{file}", (ROOT / "usr/share" / file).stat().st_size > 0)
    version = inside("recocomp", "version").stdout.splitlines()[0]
    seen(f"the program runs: {version}", version.startswith("recocomp V"))


def units() -> None:
    print("units")
    verified = inside("systemd-analyze", "--man=no", "verify", f"/{UNIT}", "/usr/lib/systemd/system/recocomp.socket", check=False)
    said = (verified.stdout + verified.stderr).strip()
    seen("systemd-analyze verify has nothing to say", (verified.returncode == 0 and not said) or sys.exit(said))
    judged = inside("systemd-analyze", "security", "--offline=true", "--no-pager", f"/{UNIT}", check=False)
    line = re.search(r"Overall exposure level for recocomp.service: ([\d.]+)", judged.stdout)
    seen(f"systemd-analyze security: {line and line.group(1)}, at most {MAX_EXPOSURE}", line and float(line.group(1)) <= MAX_EXPOSURE)


def serve() -> Daemon:
    print("the first day")
    CONFIG.write_text(f'[server]\nlisten = "127.0.0.1:{PORT}"\n')
    license_this_device()
    daemon = Daemon()
    status = ask("/license")
    seen(f"it serves, and its license is {status['status']}", status["status"] == "Authorized")
    assert ask("/create/collection", collection_name="staff")["err_code"] == 0
    picture = base64.b64encode((HERE.parent / "pictures/astronaut.jpg").read_bytes()).decode()
    answer = ask("/face/insert", collection_name="staff", target_id=["eileen"], face_image=[picture])
    seen("a person is enrolled", answer.get("success_num") == 1 or sys.exit(str(answer)))
    seen(f"and found: {found()}", list(found()) == ["eileen"])
    owner = ids("recocomp")
    kept = list(DATA.rglob("*"))
    foreign = [path for path in kept if path.stat().st_uid != owner[0]]
    seen("all that it wrote is its own", not foreign or sys.exit(str(foreign)))
    # The license is no secret, and `install` leaves it as its umask has it.
    open_ = [path for path in kept if path.stat().st_mode & 0o077 and path.name != "recocomp.license"]
    seen("nobody else may read what is enrolled", not open_ or sys.exit(str(open_)))
    return daemon


def upgrade(daemon: Daemon) -> Daemon:
    print("upgrade over running data")
    pid = daemon.process.pid
    inside("dpkg", "--install", "/packages/second.deb")
    seen(f"the new version is installed: {package_state()}", package_state().startswith("ii ") and package_state().rstrip().endswith("2"))
    seen("the old daemon served on meanwhile", daemon.process.poll() is None and ask("/version")["err_code"] == 0 and pid)
    told = asked_of_systemd()
    seen("systemd is told to restart it, once", len(re.findall(r"\brestart .*recocomp", told)) == 1 and not re.search(r"\bstop\b", told))
    seen("the administrator's configuration is as it was", f"127.0.0.1:{PORT}" in CONFIG.read_text())
    daemon.stop()
    daemon = Daemon()
    seen("the new daemon finds the person under the old license", list(found()) == ["eileen"])
    return daemon


def remove(daemon: Daemon) -> None:
    print("removal")
    listed = files()
    inside("dpkg", "--remove", "recocomp")
    told = asked_of_systemd()
    seen("systemd is told to stop it first", re.search(r"\bstop .*recocomp.service", told))
    daemon.stop()
    left = [file for file in listed if (ROOT / file[1:]).exists()]
    seen("of its files the configuration alone is left", left == ["/etc/recocomp/recocomp.toml"] or sys.exit(str(left)))
    seen("as the administrator wrote it", f"127.0.0.1:{PORT}" in CONFIG.read_text())
    seen("license and people are kept", (DATA / "recocomp.license").exists() and any((DATA / "gallery").glob("*/journal-*")))
    print("installation once more")
    inside("dpkg", "--install", "/packages/second.deb")
    wanted = ROOT / "etc/systemd/system/multi-user.target.wants/recocomp.service"
    seen("the unit is enabled again, not masked", wanted.is_symlink() and not (ROOT / "etc/systemd/system/recocomp.service").is_symlink())
    daemon = Daemon()
    seen("everyone is there", list(found()) == ["eileen"])
    daemon.stop()


def purge() -> None:
    print("purge")
    owner = ids("recocomp")
    listed = files()
    inside("dpkg", "--purge", "recocomp")
    seen("dpkg knows it no more", not package_state().startswith(("ii", "rc")))
    left = [file for file in listed if (ROOT / file[1:]).exists()]
    seen("no file of the package is left", not left or sys.exit(str(left)))
    seen("nor its configuration, nor its data", not CONFIG.parent.exists() and not DATA.exists())
    traces = [path for path in (ROOT / "etc/systemd/system").rglob("*recocomp*")]
    seen("nor a trace of the unit", not traces or sys.exit(str(traces)))
    seen("the user stays, as Debian has it, so that its number is not given to somebody else", ids("recocomp") == owner)


if __name__ == "__main__":
    begun = time.monotonic()
    prepare()
    install()
    units()
    daemon = serve()
    daemon = upgrade(daemon)
    remove(daemon)
    purge()
    print(f"all so, in {time.monotonic() - begun:.0f} s")
