"""Settings and line versions for the tests of the follower's installation."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from certline_follower.generation import LineMaterial
from certline_follower.settings import LineSettings, Output, OutputKind, OutputMode, Settings
from certline_shared import keys
from certline_shared.key_types import KeyType
from tests.unit.shared.makers import Authority, dns_names

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@cache
def authority() -> Authority:
    return Authority.make("issuing", NOW, Authority.make("root", NOW))


@cache
def material(line: str, version: int, key_type: KeyType = KeyType.ECDSA_P256) -> LineMaterial:
    """A version of a line with a key of its own; its serial is the version."""
    key = keys.generate(key_type)
    names = dns_names(f"{line}.example.org")
    leaf = authority().issue(key, names, NOW - timedelta(hours=1), NOW + timedelta(days=90), serial=version)
    return LineMaterial(line, version, key_type, keys.to_pem(key), leaf + authority().pem)


def output(
    path: Path,
    kind: OutputKind = "fullchain",
    mode: OutputMode = "link",
    *,
    owner: str | None = None,
    group: str | None = None,
    permissions: int = 0o600,
) -> Output:
    return Output(kind, path, mode, owner, group, permissions, KeyType.ECDSA_P256)


def line(name: str, *outputs: Output) -> LineSettings:
    return LineSettings(name, None, (KeyType.ECDSA_P256,), (), outputs)


def settings_of(folder: Path, *lines: LineSettings, keep: int = 5) -> Settings:
    return Settings(folder / "certline-follower.toml", None, None, folder / "state", keep, 300, lines, {})
