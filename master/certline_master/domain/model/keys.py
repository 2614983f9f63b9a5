"""A line's keys by slot, and how long each is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from certline_shared.keys import KeyType


class Slot(StrEnum):
    CURRENT = "current"
    NEXT = "next"
    PREVIOUS = "previous"


class KeyPolicy(StrEnum):
    KEEP = "keep"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """How long a key is kept and what becomes of it then, where the default is not wanted."""

    key_types: tuple[str, ...] = ()  # of the lines that name the key
    policy: str = "keep"  # KeyPolicy; "new": another key at each renewal
    max_age: str | None = None  # "400d": after that it is rolled over
    auto: bool = False  # by itself; else that is only told
    pin_days: int | None = None  # so long clients may keep the pins of a key


@dataclass(frozen=True, slots=True)
class HeldKey:
    """One private key of a line, wherever it is, as the master knows it."""

    key_type: KeyType
    slot: Slot
    spki_sha256: str
    published: datetime | None  # since when its pin is known here and shown; None: longer than anybody wrote down
    since: datetime | None  # when it came into its slot; None: as above
