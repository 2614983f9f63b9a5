"""A process in a mount namespace of its own, which installs on a full or a read-only disk; arguments: CASE FOLDER.

Prints what it found as JSON. Its mounts go when it ends.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from certline_follower.faults import InstallFault
from tests.integration.installing import SETTINGS, Host

PAGE = 4096


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def state_of(host: Host) -> list[object]:
    """Versions shown, generations kept, and what is left over."""
    shown = [host.live_version(), host.copied_version(), host.linked_version()]
    left = [name for name in host.leftovers() if "filler" not in name]
    return [*shown, host.installer().numbers(), left]


def attempt(host: Host) -> str:
    """Install version 2; the fault, or nothing."""
    try:
        host.install(2)
    except InstallFault as fault:
        return str(fault)
    return ""


def full(folder: Path, options: str, fill: Callable[[Host, int], Callable[[], None]]) -> list[object]:
    """Install with no room, then with one unit more each time, until it goes."""
    mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    host = Host.make(folder)
    host.install(1)
    faults: list[object] = []
    for room in range(200):
        empty = fill(host, room)
        fault = attempt(host)
        if not fault:
            return [faults, state_of(host)]
        faults.append([fault, state_of(host)])
        empty()
    return [faults, None]


def fill_bytes(host: Host, room: int) -> Callable[[], None]:
    filler = host.folder / "filler"
    free = os.statvfs(host.folder).f_bavail
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room) * PAGE)
    return filler.unlink


def fill_inodes(host: Host, room: int) -> Callable[[], None]:
    fillers = [host.folder / f"filler-{n}" for n in range(max(0, os.statvfs(host.folder).f_favail - room))]
    for filler in fillers:
        filler.touch()

    def empty() -> None:
        for filler in fillers:
            filler.unlink()

    return empty


def full_destination(folder: Path) -> list[object]:
    """Only the disk of the copies is full."""
    host = Host.make(folder)
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder / "copies"))
    host.install(1)
    with (folder / "copies" / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(folder / "copies").f_bavail * PAGE)
    fault, then = attempt(host), state_of(host)
    (folder / "copies" / "filler").unlink()
    return [fault, then, attempt(host), state_of(host)]


def read_only(folder: Path, part: str) -> list[object]:
    """One part of the host is read-only for a while."""
    host = Host.make(folder)
    host.install(1)
    host.write_settings(SETTINGS + '[[line.output]]\nkind = "cert"\npath = "links/new.pem"\n')
    mount("--bind", str(folder / part), str(folder / part))
    mount("-o", "remount,bind,ro", str(folder / part))
    fault, then = attempt(host), state_of(host)
    mount("-o", "remount,bind,rw", str(folder / part))
    return [fault, then, attempt(host), state_of(host)]


CASES: dict[str, Callable[[Path], list[object]]] = {
    "full": lambda folder: full(folder, "size=1m", fill_bytes),
    "inodes": lambda folder: full(folder, "nr_inodes=120", fill_inodes),
    "full destination": full_destination,
    "read-only state": lambda folder: read_only(folder, "state"),
    "read-only copies": lambda folder: read_only(folder, "copies"),
    "read-only links": lambda folder: read_only(folder, "links"),
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(CASES[sys.argv[1]](Path(sys.argv[2]))))
