"""The follower's own file: what this host wants, where it goes, and which local services use it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from certline_shared.keys import KeyType

SYSTEM_FOLDER = Path("/etc/certline")
FILE_NAME = "certline-follower.toml"

OutputKind = Literal["key", "cert", "chain", "fullchain", "combined"]
OutputMode = Literal["link", "copy"]
OnFailure = Literal["rollback", "warn"]


class SettingsError(ValueError):
    """A settings file that cannot be used; the text names the file, the line, the field, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file that the follower keeps for its services."""

    kind: OutputKind
    path: Path  # absolute
    mode: OutputMode  # `as` in the file
    owner: str | None
    group: str | None
    permissions: int  # `mode` in the file
    key_type: KeyType


@dataclass(frozen=True, slots=True)
class LineSettings:
    """One certificate line on this host; `names` only where the host asks for the line itself (normal form)."""

    name: str
    names: tuple[str, ...] | None
    key_type: KeyType
    services: tuple[str, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A local thing that uses certificates; its commands are argument vectors, its timeout is in seconds."""

    name: str
    reload: tuple[str, ...] | None
    check: tuple[str, ...] | None
    timeout: float
    on_failure: OnFailure


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file; all paths absolute."""

    file: Path
    master_url: str | None
    trust_ca_file: Path | None
    state_dir: Path
    keep: int
    poll_seconds: float
    lines: tuple[LineSettings, ...]
    services: Mapping[str, Service]


def find(config: str | None, cwd: Path, system: Path = SYSTEM_FOLDER) -> Path:
    """The settings file: `config` or FILE_NAME, in `cwd`, then in the system folder; an absolute one only there.

    Raises SettingsError naming the files tried.
    """
    raise NotImplementedError


def load(path: Path) -> Settings:
    """Read and check the file; relative paths count from its folder. Raises SettingsError."""
    raise NotImplementedError


def example() -> str:
    """A commented settings file."""
    raise NotImplementedError
