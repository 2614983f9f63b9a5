"""A generation as data: everything one follower installs at one moment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from certline_follower.output import Folder, OutputMode
from certline_follower.parts import OutputKind
from certline_shared.key_types import KeyType

OUTPUTS_FOLDER = "_outputs"  # no line's name begins with an underscore


@dataclass(frozen=True, slots=True)
class LineMaterial:
    """What a version of a line has of one key type, ready to be installed: PEM, chain leaf first."""

    line: str
    version: int
    key_type: KeyType
    key_pem: bytes = field(repr=False)  # encrypted where there is a passphrase
    chain_pem: str
    is_copy: bool = False  # the key is one that the master keeps
    next_pem: bytes | None = field(default=None, repr=False)  # as key_pem: of outputs that show the next key
    previous_pem: bytes | None = field(default=None, repr=False)
    passphrase: bytes | None = field(default=None, repr=False)
    staged: bool = False  # not live yet: shown by outputs marked so, and by no other


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file of a generation; owner and group None: those of the follower's process."""

    data: bytes = field(repr=False)
    owner: str | None
    group: str | None
    mode: int
    recipe: str = ""  # what it was made of, where making it again gives other bytes


@dataclass(frozen=True, slots=True)
class PlacedOutput:
    """Where an output lies and which file of the generation it shows."""

    path: Path
    mode: OutputMode
    source: str  # relative to the generation's folder
    line: str = ""  # not told by release 0.2.0
    setting: Path | None = None  # its path in the settings, where another version gets another path
    is_secret: bool = False  # there is a key in it
    is_passing: bool = False  # removed, not left behind, once it is not wanted any more


@dataclass(frozen=True, slots=True)
class PlacedLink:
    """A link beside the outputs that leads to one of them."""

    path: Path
    target: str  # as it stands in the link
    line: str


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What a generation holds of one line and key type."""

    version: int
    key_type: KeyType
    serial: str
    spki_sha256: str
    names: tuple[str, ...]
    not_after: str | None = None  # as messages.time_text; None in what an earlier version wrote
    is_copy: bool = False  # the key is one that the master keeps
    not_before: str | None = None  # as not_after


LinesFacts = Mapping[str, tuple[LineFacts, ...]]
"""Line -> what there is of it, one per key type, in the order of the settings."""


def versions_of(facts: LinesFacts) -> dict[str, int]:
    """Line -> version: the newest, where one key type's certificate is left from a former one."""
    return {name: max(one.version for one in types) for name, types in facts.items()}


@dataclass(frozen=True, slots=True)
class Generation:
    """The content of one generation; `digest` covers all but its number."""

    number: int
    files: Mapping[str, FileContent]  # by path relative to the generation's folder
    outputs: tuple[PlacedOutput, ...]
    facts: LinesFacts
    digest: str
    links: tuple[PlacedLink, ...] = ()
    folders: tuple[Folder, ...] = ()  # to be made where missing, outermost first
    left_out: tuple[str, ...] = ()  # outputs that cannot be written, and why

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return versions_of(self.facts)


@dataclass(frozen=True, slots=True)
class InstalledGeneration:
    """A generation as its folder on disk tells it."""

    number: int
    digest: str
    former: int | None  # the number that was live when this one was installed
    installed_at: str
    outputs: tuple[PlacedOutput, ...]
    facts: LinesFacts
    links: tuple[PlacedLink, ...] = ()
    left_out: tuple[str, ...] = ()
    recipes: Mapping[str, str] = field(default_factory=dict)  # by source, see FileContent

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return versions_of(self.facts)


def file_of(line: str, key_type: KeyType, kind: OutputKind) -> str:
    """Where a generation holds a form of a line's certificate, relative to its folder."""
    return f"{line}/{key_type}/{kind}.pem"


def source_of(path: Path) -> str:
    """The same in every generation whatever the output's kind, owner or mode, so that its link never has to change."""
    return f"{OUTPUTS_FOLDER}/{hashlib.sha256(bytes(path)).hexdigest()[:12]}-{path.name[-40:]}"
