"""Hosts on one machine: each has its own address, processes, home, /tmp/ray and shared memory, and can lose power.

Made of namespaces, so it needs root (`why_not` says what is missing). Files outside of homes are the machine's own;
`without` hides folders of them, so that a host may lack this project.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = [ROOT / name for name in ("orchestrator", "trainables", "analysis", "tests")]
HOME = Path("~root").expanduser()

INIT = r"""
set -e
mount --make-rprivate /
for folder in $WITHOUT; do mount -t tmpfs tmpfs "$folder"; done
for folder in $KEEP; do
  mkdir -p "$MINE/home/${folder#$HOME_AT/}"
  mount --bind "$folder" "$MINE/home/${folder#$HOME_AT/}"
done
mount --rbind "$MINE/home" "$HOME_AT"
mkdir -p /tmp/ray /run/sshd
mount --bind "$MINE/ray" /tmp/ray
mount --bind "$MINE/../hosts" /etc/hosts
mount -t tmpfs -o size=512m tmpfs /dev/shm
hostname "$NAME"
cd "$HOME_AT"
if [ -n "$SSHD" ]; then
  "$SSHD" -f /dev/null -E "$MINE/sshd.log" -h "$MINE/hostkey" -o ListenAddress="$ADDRESS:22" -o PidFile=none \
    -o UsePAM=no -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password -o MaxStartups=50
fi
touch "$MINE/up"
while :; do sleep 3600 & wait $!; done
"""


def why_not(*, ssh: bool = False) -> str | None:
    """What this machine lacks for such hosts, or None."""
    missing = [
        name for name in ("ip", "unshare", "nsenter", *(("ssh", "rsync") if ssh else ())) if not shutil.which(name)
    ]
    if ssh and not sshd():
        missing.append("sshd")
    if missing:
        return f"needs {', '.join(missing)}: apt-get install iproute2 openssh-server openssh-client rsync"
    name = f"fs{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None if made.returncode == 0 else f"needs root: {made.stderr.strip()}"


def sshd() -> str | None:
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")


@dataclass
class Host:
    """One host."""

    name: str
    address: str
    folder: Path
    namespace: str
    main: subprocess.Popen[bytes]
    inner: int = 0
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Where its home folder lies for others to look into."""
        return self.folder / "home"

    def start(self, *command: object, **variables: str) -> subprocess.Popen[str]:
        """Start a command there."""
        path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        plain = {"HOME": str(HOME), "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", "RAY_USAGE_STATS_ENABLED": "0"}
        given = [f"{name}={value}" for name, value in {**plain, **variables}.items()]
        enter = ["nsenter", "-t", str(self.inner), "-n", "-m", "-p", "-u", "-i", f"--wd={ROOT}"]
        process = subprocess.Popen(
            [*enter, "env", "-i", *given, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def run(self, *command: object, within: float = 120, **variables: str) -> str:
        """Run a command there; what it printed."""
        process = self.start(*command, **variables)
        out, err = process.communicate(timeout=within)
        assert process.returncode == 0, f"{self.name}: {command}: {out}{err}"
        return out + err

    def power_off(self) -> None:
        """End everything there at once, without a word to anybody."""
        self.main.kill()
        self.main.wait()


class Hosts:
    """Hosts on one network.

    Parameters
    ----------
    folder
        For their homes; short, since sockets of Ray lie below.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._switch = f"fs{os.getpid()}sw"
        self._made: list[Host] = []
        names = "".join(f"10.77.0.{number} h{number}\n" for number in range(1, 9))
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")

    def add(self, number: int, *, without: Sequence[Path] = (), ssh: bool = False) -> Host:
        """Start the host `h<number>` at 10.77.0.<number>; `ssh` lets others log in with the key in their homes."""
        name, folder = f"h{number}", self._folder / f"h{number}"
        namespace, link = f"fs{os.getpid()}h{number}", f"v{os.getpid() % 10000}n{number}"
        for part in ("home/.ray", "home/.ssh", "ray"):
            (folder / part).mkdir(parents=True)
        (folder / "init.sh").write_text(INIT)
        if ssh:
            self._let_in(folder)
        _ip("netns", "add", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", self._switch, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", self._switch, "link", "set", link, "master", "br0", "up")
        _ip("-n", namespace, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        kept = [path for path in (Path(sys.base_prefix), ROOT, self._folder) if path.is_relative_to(HOME)]
        variables = {
            "WITHOUT": " ".join(map(str, without)), "KEEP": " ".join(map(str, kept)), "MINE": str(folder), "NAME": name,
            "ADDRESS": f"10.77.0.{number}", "SSHD": (sshd() or "") if ssh else "", "HOME_AT": str(HOME),
        }  # fmt: skip
        inside = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        main = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *inside, "bash", str(folder / "init.sh")],
            env={**os.environ, **variables}, stderr=(folder / "init.log").open("w"),
        )  # fmt: skip
        host = Host(name, f"10.77.0.{number}", folder, namespace, main)
        self._made.append(host)
        wait_until((folder / "up").exists, within=20, what=(folder / "init.log").read_text)
        children = Path(f"/proc/{main.pid}/task/{main.pid}/children").read_text().split()
        host.inner = int(children[0])
        return host

    def _let_in(self, folder: Path) -> None:
        """Give a host a key of its own, and in its home the one that all of them share."""
        key = self._folder / "id_ed25519"
        for path in (key, folder / "hostkey"):
            if not path.exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        for name in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(self._folder / name, folder / "home" / ".ssh" / name)
        shutil.copy(self._folder / "id_ed25519.pub", folder / "home" / ".ssh" / "authorized_keys")
        (folder / "home" / ".ssh").chmod(0o700)

    def close(self) -> None:
        """Take everything away."""
        for host in self._made:
            host.power_off()
            for process in host.processes:
                if process.poll() is None:
                    process.kill()
            _ip("netns", "del", host.namespace)
        _ip("netns", "del", self._switch)


def wait_until(true: Callable[[], object], *, within: float, what: Callable[[], str] = str) -> None:
    """Wait; fails with `what` says."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what()}"
        time.sleep(0.1)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
