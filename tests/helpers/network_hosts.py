"""Hosts of a test's own: each with a network address, processes, files in /tmp and an SSH server that no other sees.

A host is a set of Linux namespaces (network, processes, mounts, host name) on this machine. All hosts hang on one
bridge, see one folder as /srv/veil, as over NFS, and are gone when the test's process is, however it ends.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SHARED = "/srv/veil"
HOME = "/mnt/home"
ENVIRONMENT = f"{HOME}/veil-env"
NEEDED = ("bash", "ip", "mount", "nsenter", "rsync", "setpriv", "ssh", "ssh-keygen", "unshare", "/usr/sbin/sshd")

# Runs as the first process of a host. Everything is mounted before /tmp is covered, since the test's own files may lie
# there; root's home is moved, since Python may lie in the real one.
_BOOT = """
set -eu
[ $$ = 1 ] && [ "$(ls -d /proc/[0-9]* | wc -l)" -lt 10 ] || { echo "not alone: refusing to start" >&2; exit 1; }
mount -t tmpfs tmpfs /mnt
mkdir /mnt/home /mnt/shared
mount --bind "$FOLDER/home" /mnt/home
mount --bind "$SHARED_FOLDER" /mnt/shared
for mount in $ALSO; do
  mkdir -p "/mnt/${mount#*:}"
  mount --bind "${mount%%:*}" "/mnt/${mount#*:}"
done
sed "s#^root:\\([^:]*:[^:]*:[^:]*:[^:]*\\):[^:]*:.*#root:\\1:/mnt/home:/bin/bash#" /etc/passwd > /mnt/passwd
mount --bind /mnt/passwd /etc/passwd
cp "$FOLDER/../hosts" /mnt/hosts
mount --bind /mnt/hosts /etc/hosts
cp "$FOLDER/sshd_config" "$FOLDER/key" "$FOLDER/authorized_keys" /mnt/
chmod 600 /mnt/key
for covered in /srv /run /dev/shm /tmp; do mount -t tmpfs tmpfs "$covered"; done
mkdir /srv/veil /run/sshd
mount --bind /mnt/shared /srv/veil
chmod 1777 /tmp /dev/shm
hostname "$NAME"
ip link set lo up
until ip link show lan > /dev/null 2>&1; do sleep 0.1; done
ip address add "$ADDRESS/24" dev lan
ip link set lan up
/usr/sbin/sshd -D -f /mnt/sshd_config &
wait
"""

_SSHD = """
Port 22
ListenAddress {address}
HostKey /mnt/key
AuthorizedKeysFile /mnt/authorized_keys
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"""


def missing_for_hosts() -> str | None:
    """Why this machine cannot hold such hosts; None if it can.

    With other tests beside them, Ray may not start on the hosts in time: they have to be asked for (VEIL_TEST_HOSTS).
    """
    if "VEIL_TEST_HOSTS" not in os.environ:
        return "with other tests beside them, hosts may not start in time; `make test-cluster` runs them alone"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found (packages iproute2, openssh-server, rsync, util-linux)"
    command = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc"]
    command += ["bash", "-c", "ip link add name probe type bridge && mount -t tmpfs tmpfs /mnt"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces for this user: {tried.stderr.strip().splitlines()[-1]}"


class Host:
    """One host; it runs until it is switched off, and keeps its home while it is off.

    Args:
        name: host name.
        address: IPv4 address on the bridge.
        folder: where its home and its configuration lie.
        boot_environment: variables of the boot script.
        switch: process whose network namespace holds the bridge.
    """

    def __init__(
        self, name: str, address: str, folder: Path, boot_environment: dict[str, str], switch: subprocess.Popen
    ) -> None:
        self.name = name
        self.address = address
        self.home = folder / "home"
        self._boot = folder.parent / "boot.sh"
        self._variables = {"FOLDER": str(folder), "NAME": name, "ADDRESS": address, **boot_environment}
        self._switch = switch
        self._process: subprocess.Popen | None = None

    def switch_on(self) -> None:
        """Start the host and wait until its SSH server answers."""
        assert self._process is None
        unshare = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        command = ["setpriv", "--pdeathsig", "KILL", *unshare, "bash", str(self._boot)]
        self._process = subprocess.Popen(command, env=os.environ | self._variables, stdin=subprocess.DEVNULL)
        end = f"v{self.address.rsplit('.', 1)[1]}"
        link = ["ip", "link", "add", end, "type", "veth", "peer", "name", "lan", "netns"]
        # There is a first process only when the host has a network of its own: no link can end up in another one.
        _retry(lambda: _inside(self._switch.pid, [*link, str(self.first_process)]))
        _inside(self._switch.pid, ["ip", "link", "set", end, "master", "bridge", "up"])
        _retry(lambda: self.run(["bash", "-c", f"exec 3<> /dev/tcp/{self.address}/22"]))

    def switch_off(self) -> None:
        """End the host at once, as by a loss of power: all its processes, its network, its /tmp."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @property
    def first_process(self) -> int:
        """Process id, on this machine, of the host's process 1."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    def run(self, command: Sequence[str], timeout: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, with its home as the working folder."""
        return subprocess.run(self.command(command), capture_output=True, text=True, timeout=timeout, check=check)

    def command(self, command: Sequence[str]) -> list[str]:
        """Command line that runs a command on the host."""
        variables = ["env", "-i", f"HOME={HOME}", "USER=root", "TERM=dumb", f"PATH={ENVIRONMENT}/bin:/usr/bin:/bin"]
        enter = ["nsenter", "--target", str(self.first_process), "--all", f"--wdns={HOME}"]
        return ["setpriv", "--pdeathsig", "KILL", *enter, *variables, *command]


@contextmanager
def network_of_hosts(folder: Path, addresses: dict[str, str], also: dict[Path, str]) -> Iterator[dict[str, Host]]:
    """Hosts that reach each other, all switched on; root of each may log in to any of them by `~/.ssh/id_ed25519`.

    Args:
        folder: where their files lie; its `shared` is /srv/veil on all of them.
        addresses: IPv4 address by host name.
        also: folders of this machine that all hosts see, with the names below /mnt that they see them under.
    """
    shared = folder / "shared"
    shared.mkdir(parents=True)
    (folder / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    )
    (folder / "boot.sh").write_text(_BOOT)
    key = folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    boot = {"SHARED_FOLDER": str(shared), "ALSO": " ".join(f"{path}:{name}" for path, name in also.items())}
    script = "ip link add name bridge type bridge && ip link set bridge up && echo ready && exec sleep infinity"
    switch = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "bash", "-c", script], stdout=subprocess.PIPE
    )
    hosts = {}
    try:
        assert switch.stdout is not None and switch.stdout.readline() == b"ready\n"
        for name, address in addresses.items():
            own = folder / name
            (own / "home" / ".ssh").mkdir(parents=True)
            for file in (key, key.with_suffix(".pub")):
                shutil.copy(file, own / "home" / ".ssh")
            (own / "home" / "veil-env").symlink_to("/mnt/env")
            shutil.copy(key.with_suffix(".pub"), own / "authorized_keys")
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(own / "key")], check=True)
            (own / "sshd_config").write_text(_SSHD.format(address=address))
            hosts[name] = Host(name, address, own, boot, switch)
            hosts[name].switch_on()
        yield hosts
    finally:
        for host in hosts.values():
            if host._process is not None:
                host.switch_off()
        switch.kill()
        switch.wait()


def environment_for_hosts(folder: Path, constraints: Path) -> dict[Path, str]:
    """Make a Python environment that runs the code in `~/veil` of a host, with the packages of this one.

    Args:
        folder: a new folder for it; the hosts see it as /mnt/env.
        constraints: pinned versions, of which the environment says that it holds them.

    Returns:
        Folders that the hosts must see, for `network_of_hosts`.
    """
    packages = [Path(path) for path in sys.path if path.endswith("site-packages")]
    seen = {path: f"packages-{index}" for index, path in enumerate(packages)}
    own = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    own.mkdir(parents=True)
    lines = [f"{HOME}/veil/platform", f"{HOME}/veil", *(f"/mnt/{name}" for name in seen.values())]
    (own / "veil-on-this-host.pth").write_text("\n".join(lines) + "\n")
    (folder / "bin").mkdir()
    interpreter = Path(sys.executable).resolve()
    (folder / "bin" / "python").symlink_to(interpreter)
    (folder / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    for name, target in {
        "veil": "veil.cli:main",
        "ray": "ray.scripts.scripts:main",
        "mlflow": "mlflow.cli:cli",
    }.items():
        module, function = target.split(":")
        script = folder / "bin" / name
        script.write_text(
            f"#!/mnt/env/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
        script.chmod(0o755)
    shutil.copy(constraints, folder / "constraints.txt")
    return {folder: "env", **seen}


def _inside(process: int, command: Sequence[str]) -> None:
    """Run a command in the network of another process."""
    subprocess.run(["nsenter", "--target", str(process), "--net", *command], check=True, capture_output=True)


def _retry(action, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except (subprocess.CalledProcessError, OSError, IndexError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
