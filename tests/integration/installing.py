"""A host's folder with its settings, and what may be asked of it: to install, to be killed, to tell what it shows."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from certline_follower import settings
from certline_follower.disk import Installer
from certline_follower.generation import LineMaterial
from certline_follower.rendering import render
from certline_shared.clock import SystemClock
from tests.unit.follower.makers import material

CHILD = Path(__file__).with_name("install_child.py")
LINES = ("shop", "mail")

SETTINGS = """\
state_dir = "state"
[[line]]
name = "shop"
[[line.output]]
kind = "combined"
path = "links/combined.pem"
[[line.output]]
kind = "key"
path = "copies/shop.key"
as = "copy"
[[line.output]]
kind = "fullchain"
path = "copies/shop.pem"
as = "copy"
mode = "0640"
[[line]]
name = "mail"
[[line.output]]
kind = "combined"
path = "links/mail.pem"
"""


@dataclass(frozen=True)
class Host:
    """One host under `folder`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, text: str = SETTINGS) -> "Host":
        host = cls(folder)
        for name in ("links", "copies"):
            (folder / name).mkdir(exist_ok=True)
        host.write_settings(text)
        return host

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def settings_file(self) -> Path:
        return self.folder / "certline-follower.toml"

    def write_settings(self, text: str) -> None:
        self.settings_file.write_text(text)

    def installer(self) -> Installer:
        return Installer(settings.load(self.settings_file), SystemClock())

    def install(self, version: int, lines: Sequence[str] = LINES) -> bool:
        """Install that version of each line in this process."""
        installer = self.installer()
        read = settings.load(self.settings_file)
        return installer.install(render(materials(version, lines), read, installer.next_number()))

    def command(self, version: int, *number: int) -> list[str]:
        """How a process of its own installs that version, or rolls back to a generation."""
        file = self.folder / f"materials-{version}.json"
        file.write_text(json.dumps([_plain(one) for one in materials(version)]))
        return [sys.executable, str(CHILD), str(self.settings_file), str(file), *map(str, number)]

    def run(self, command: Sequence[str], failpoint: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run it, to be killed at a failpoint when one is named."""
        armed = {} if failpoint is None else {"CERTLINE_UNDER_TEST": "1", "CERTLINE_FAILPOINT": failpoint}
        return subprocess.run(
            command, env={**os.environ, **armed}, capture_output=True, text=True, timeout=120, check=False
        )

    def live_version(self) -> int | None:
        """The version of the line `shop` that a reader of the link finds, which must be whole."""
        try:
            folder = os.open(self.state_dir / "live", os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            names = ("key", "cert", "chain", "fullchain", "combined")
            parts = [_read(f"shop/ecdsa-p256/{name}.pem", folder) for name in names]
        finally:
            os.close(folder)
        return _version(parts[0] + parts[3], [parts[1] + parts[2] == parts[3], parts[4] == parts[0] + parts[3]])

    def copied_version(self) -> int | None:
        """The version that the copies show, None when there are none; a mixed pair fails."""
        key, chain = self.folder / "copies" / "shop.key", self.folder / "copies" / "shop.pem"
        if not key.exists() and not chain.exists():
            return None
        return _version(key.read_bytes() + chain.read_bytes(), [oct(chain.stat().st_mode & 0o777) == "0o640"])

    def linked_version(self) -> int | None:
        """The version that a reader of the combined file finds at its destination."""
        path = self.folder / "links" / "combined.pem"
        return _version(path.read_bytes(), [path.is_symlink()]) if path.is_symlink() and path.exists() else None

    def leftovers(self) -> list[str]:
        """What should not be there when nothing is under way."""
        known = {"live", "generations", "replaced", "lock"}
        hidden = [path for path in self.folder.rglob(".*") if path.name != "."]
        return sorted(str(path) for path in [*hidden, *self.state_dir.glob("*")] if path.name not in known)


def materials(version: int, lines: Sequence[str] = LINES) -> list[LineMaterial]:
    return [material(line, version) for line in lines]


@contextmanager
def reader(host: Host, versions: Sequence[int]) -> Iterator[list[int]]:
    """Somebody who reads host's live pair and its combined file over and over; the versions seen, never a mixed one.

    Leaving fails with what the reader met: a mixed pair, a missing file, a version older than one seen before.
    """
    seen: list[int] = []
    faults: list[BaseException] = []
    stop, started = threading.Event(), threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                for version in (host.live_version(), host.linked_version()):
                    assert version is not None, "nothing is live"
                    assert version in versions
                    assert not seen or version >= seen[-1], "older than what was seen before"
                    seen.append(version)
                started.set()
        except BaseException as fault:  # noqa: BLE001 handed to the test
            faults.append(fault)
        started.set()

    thread = threading.Thread(target=read)
    thread.start()
    started.wait(10)
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    if faults:
        raise faults[0]


def _read(name: str, folder: int) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def _version(pair: bytes, also: Sequence[bool]) -> int:
    whole = {material("shop", n).key_pem + material("shop", n).chain_pem.encode(): n for n in (1, 2, 3, 4, 5, 6, 7)}
    assert pair in whole, "a key and a chain that do not belong together"
    assert all(also)
    return whole[pair]


def _plain(one: LineMaterial) -> dict[str, object]:
    return {**asdict(one), "key_pem": one.key_pem.decode()}
