"""One line as a host holds it: its keys, what was asked, what was pulled, and what failed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certline_shared.chance import Chance
from certline_shared.messages import DeploymentReport, read_time, time_text

FIRST_PAUSE = timedelta(seconds=10)  # security note 4.5
LONGEST_PAUSE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Retry:
    """Something that did not come about, and when it is tried again."""

    attempts: int
    due: str  # as messages.time_text
    error: str
    blamed: bool = False  # on a version or on settings: not tried again just because some time has passed

    def __post_init__(self) -> None:
        read_time(self.due)  # BadMessage: a document that says otherwise is damaged

    def is_due(self, now: datetime, longest: timedelta = LONGEST_PAUSE) -> bool:
        """A due time further off than any pause can be was written by a wrong clock: it counts as come."""
        due = read_time(self.due)
        return due <= now or (not self.blamed and due > now + longest + timedelta(minutes=1))


def later(
    former: Retry | None, error: str, now: datetime, chance: Chance, *,
    first: timedelta = FIRST_PAUSE, longest: timedelta = LONGEST_PAUSE,
) -> Retry:  # fmt: skip
    """The next try after one more failure: `first`, doubled each time, at most `longest`, half of it by chance."""
    attempts = (former.attempts if former else 0) + 1
    most = min(first * 2.0 ** min(attempts - 1, 30), longest).total_seconds()
    return Retry(attempts, time_text(now + timedelta(seconds=chance.uniform(most / 2, most))), error[:2_000])


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of a line; `digest` is over its files' hashes, "" where only the number is known."""

    number: int
    digest: str = ""

    def same(self, other: "VersionRef | None") -> bool:
        if other is None or self.number != other.number:
            return False
        return self.digest == other.digest or not (self.digest and other.digest)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request asks for beside its names."""

    common_name: str | None = None
    must_staple: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The wish last put to the master: the names, and the key (its SPKI pin) of each key type in the CSRs."""

    names: tuple[str, ...]
    keys: dict[str, str]
    retry: Retry  # when the wish is put again if the master still lacks it
    next_keys: dict[str, str] = field(default_factory=dict)
    subject: Subject = Subject()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A wish that the master refused; it is put again when it or the manifest changes (pauses.py), or when due."""

    names: tuple[str, ...]  # those without a grant
    retry: Retry
    manifest: str = ""  # the one that was followed then, see wishes.mark


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A version that could not be pulled, or after which a service's check or reload failed."""

    version: VersionRef
    retry: Retry


@dataclass(frozen=True, slots=True)
class Staged:
    """A version that was pulled ahead of its time."""

    version: VersionRef
    valid_from: str  # as messages.time_text


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when a pulled version is not installed, and why; nothing failed."""

    version: int
    until: str  # as messages.time_text
    why: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What was last seen of a line at a service."""

    mark: str  # what was looked for, see reports.probe_mark
    right: bool
    seen: dict[str, str] = field(default_factory=dict)  # where -> SHA-256 of the leaf, hex


@dataclass(frozen=True, slots=True)
class HeldLine:
    """One line as this host has it."""

    keys: dict[str, str] = field(default_factory=dict)  # key type -> SPKI pin of the key on disk
    asked: Asked | None = None
    refusal: Refusal | None = None
    pulled: VersionRef | None = None  # its files are in the cache
    held_back: HeldBack | None = None
    reported: DeploymentReport | None = None
    spent: dict[str, str] = field(default_factory=dict)
    """Key type -> SPKI pin of an own key from before the master kept the line's key: never asked for again."""
    valid_from: str | None = None  # of the pulled version
    next_keys: dict[str, str] = field(default_factory=dict)  # as `keys`, of the keys that a rollover makes current
    previous_keys: dict[str, str] = field(default_factory=dict)  # of those that were current before
    marks: dict[str, str] = field(default_factory=dict)  # slot and key type -> the file whose pin is known
    staged: Staged | None = None
    told_staged: DeploymentReport | None = None
    wait: Wait | None = None
    probed: dict[str, Probed] = field(default_factory=dict)  # by service
