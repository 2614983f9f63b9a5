"""What is wanted of the files that the follower keeps for a host's services; plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from certline_follower import parts, patterns
from certline_follower.parameters import Curve, Group
from certline_follower.parts import OutputKind, Part
from certline_follower.patterns import DATE
from certline_shared.key_types import KeyType

OutputMode = Literal["link", "copy"]

PASSING_FIELDS = frozenset({"date", "version"})


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is made where it is missing, with the mode and ownership it then gets."""

    path: Path
    mode: int
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A file that the follower keeps for its services."""

    kind: OutputKind
    path: Path  # absolute; {date} and {version} in it are filled in when a version is shown
    mode: OutputMode  # `as` in the file
    owner: str | None
    group: str | None
    permissions: int  # `mode` in the file
    key_type: KeyType
    parts: tuple[Part, ...] = ()  # of kind `parts`
    stage: bool = False  # shows the version that is staged, while there is one
    link: Path | None = None  # as `path`, with {dns_name} for one link per name
    folders: tuple[Folder, ...] = ()
    date_format: str = DATE
    password_file: Path | None = None  # of a PKCS #12 container
    dh: Group | None = None
    ec: Curve | None = None
    root_file: Path | None = None

    @property
    def order(self) -> tuple[Part, ...]:
        return parts.order_of(self.kind, self.parts)

    @property
    def is_passing(self) -> bool:
        """Whether another version gets another path."""
        return bool(PASSING_FIELDS & set(patterns.fields_in(str(self.path))))


@dataclass(frozen=True, slots=True)
class Archive:
    """Where files go that are replaced, and how long they, and files with a date in their name, are kept."""

    path: Path | None = None  # with {date}, {file} and {count}; None: what is replaced is not kept
    folder_mode: int = 0o700
    date_format: str = DATE
    keep: int | None = None  # of each file, the newest
    days: float | None = None
