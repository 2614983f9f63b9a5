"""A host whose settings file says which files it keeps: versions installed at chosen times, and the tree they leave."""

import grp
import pwd
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from certline_follower import settings, side_files
from certline_follower.disk import Installer
from certline_follower.generation import Generation, LineMaterial
from certline_follower.rendering import render
from certline_shared import keys
from certline_shared.key_types import KeyType
from tests.fakes.clock import FakeClock
from tests.unit.follower.makers import NOW
from tests.unit.shared.makers import Authority, dns_names

NAMES = ("shop.example.org", "www.shop.example.org")
P256, RSA = KeyType.ECDSA_P256, KeyType.RSA_2048

_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")


@cache
def root() -> Authority:
    return Authority.make("root", NOW)


@cache
def intermediate() -> Authority:
    return Authority.make("issuing", NOW, root())


def key(name: str, key_type: KeyType = P256) -> keys.PrivateKey:
    """The same one for the same name and type."""
    return _key(name, key_type)


@cache
def _key(_name: str, key_type: KeyType) -> keys.PrivateKey:
    return keys.generate(key_type)


def valid_from(version: int) -> datetime:
    """A day of its own for each version."""
    return NOW + timedelta(days=version)


def version_of(
    line: str, version: int, key_type: KeyType = P256, names: tuple[str, ...] = NAMES, key_name: str = "current"
) -> LineMaterial:
    """The key stays over all versions, unless it is named."""
    return _version_of(line, version, key_type, names, key_name)


@cache
def _version_of(line: str, version: int, key_type: KeyType, names: tuple[str, ...], key_name: str) -> LineMaterial:
    own = key(f"{line} {key_name}", key_type)
    since = valid_from(version)
    leaf = intermediate().issue(own, dns_names(*names), since, since + timedelta(days=90), serial=version)
    return LineMaterial(line, version, key_type, keys.to_pem(own), leaf + intermediate().pem)


@dataclass
class FilesHost:
    """One host under `folder`; its clock tells the day that a version is valid from, one hour on."""

    folder: Path
    text: str
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    @property
    def settings(self) -> settings.Settings:
        file = self.folder / "certline-follower.toml"
        file.write_text('state_dir = "state"\n' + self.text)
        return settings.load(file)

    @property
    def installer(self) -> Installer:
        return Installer(self.settings, self.clock)

    def render(self, materials: Sequence[LineMaterial]) -> Generation:
        read, installer = self.settings, self.installer
        return render(materials, read, installer.next_number(), side_files.read(read), installer.made())

    def install(self, *materials: LineMaterial, prune: bool = True) -> bool:
        self.clock.set(max(self.clock.now(), valid_from(max(one.version for one in materials)) + timedelta(hours=1)))
        changed = self.installer.install(self.render(materials))
        if prune:
            self.installer.prune()
        return changed

    def tree(self, under: str = "etc") -> list[str]:
        """Each folder, file and link: mode, owner, group, path, and what is in it or where it leads."""
        base = self.folder / under
        return [_told(path, base) for path in sorted(base.rglob("*"))]

    def labels(self, path: str) -> list[str]:
        return labels(self.folder / path)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()


def with_keys(material: LineMaterial, *, upcoming: str | None = None, former: str | None = None) -> LineMaterial:
    """With a next and a previous key, by their names."""
    pems = [keys.to_pem(key(name, material.key_type)) if name else None for name in (upcoming, former)]
    return replace(material, next_pem=pems[0], previous_pem=pems[1])


def labels(path: Path) -> list[str]:
    """The PEM blocks in their order; certificates by what they are."""
    known = {root().pem: "root", intermediate().pem: "intermediate"}
    text = path.read_text()
    blocks = re.findall(r"-----BEGIN .*?-----END [A-Z0-9 ]+-----\n", text, re.DOTALL)
    assert "".join(blocks) == text, f"{path} holds more than PEM blocks"
    return [known.get(block, _label(block)) for block in blocks]


def _label(block: str) -> str:
    found = _LABEL.match(block)
    assert found is not None
    return {"CERTIFICATE": "certificate", "PRIVATE KEY": "key", "DH PARAMETERS": "dh", "EC PARAMETERS": "ec"}[found[1]]


def _told(path: Path, base: Path) -> str:
    status = path.lstat()
    owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    name = str(path.relative_to(base))
    if path.is_symlink():
        return f"link {name} -> {path.readlink()}"
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if path.is_dir():
        return f"{mode} {owner}:{group} {name}/"
    return f"{mode} {owner}:{group} {name}: {' '.join(labels(path))}"
