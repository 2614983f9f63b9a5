"""A generation as data: everything one follower installs at one moment, rendered from its lines and settings; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from certline_follower.settings import OutputMode, Settings
from certline_shared.keys import KeyType


@dataclass(frozen=True, slots=True)
class LineMaterial:
    """One version of a line, ready to be installed: PEM, chain leaf first."""

    line: str
    version: int
    key_type: KeyType
    key_pem: bytes = field(repr=False)
    chain_pem: str


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file of a generation; owner and group None: those of the follower's process."""

    data: bytes = field(repr=False)
    owner: str | None
    group: str | None
    mode: int


@dataclass(frozen=True, slots=True)
class PlacedOutput:
    """Where an output lies and which file of the generation it shows."""

    path: Path
    mode: OutputMode
    source: str  # relative to the generation's folder


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What a generation holds of one line."""

    version: int
    key_type: KeyType
    serial: str
    spki_sha256: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """The content of one generation; `digest` covers all but its number."""

    number: int
    files: Mapping[str, FileContent]  # by path relative to the generation's folder
    outputs: tuple[PlacedOutput, ...]
    facts: Mapping[str, LineFacts]
    digest: str

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return {name: facts.version for name, facts in self.facts.items()}


@dataclass(frozen=True, slots=True)
class InstalledGeneration:
    """A generation as its folder on disk tells it."""

    number: int
    digest: str
    former: int | None  # the number that was live when this one was installed
    installed_at: str
    outputs: tuple[PlacedOutput, ...]
    facts: Mapping[str, LineFacts]

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return {name: facts.version for name, facts in self.facts.items()}


def render(materials: Sequence[LineMaterial], settings: Settings, number: int) -> Generation:
    """The generation that shows these versions (at most one per line) under these settings.

    Raises InstallFault when a key, certificate and chain do not belong together, or a line is not in the settings.
    """
    raise NotImplementedError
