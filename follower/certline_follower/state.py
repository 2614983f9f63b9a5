"""What this host holds and what it owes, as dataclasses and as one JSON document."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from certline_follower.held import (
    LONGEST_PAUSE,
    Asked,
    HeldBack,
    HeldLine,
    Probed,
    Refusal,
    Retry,
    Staged,
    VersionRef,
    Wait,
    later,
)
from certline_follower.identity import written_format
from certline_follower.private_files import write_private
from certline_shared import codec

__all__ = [
    "CONTACT", "LONGEST_PAUSE", "Asked", "Debt", "Happening", "HeldBack", "HeldLine", "Keeper", "Pending", "Probed",
    "Refusal", "Retry", "Shown", "Staged", "State", "StateError", "StateNotKept", "VersionRef", "Wait", "later", "read",
    "settled", "swapped",
]  # fmt: skip

FORMAT = 1
MOST_BYTES = 33_554_432
CONTACT = "last-contact"  # its time of change is the news
_NAME = "state.json"


class StateError(Exception):
    """The state file cannot be used; the text says why and what to do."""


class StateNotKept(StateError):
    """The state cannot be read or written now, for want of space or permission: nothing that relies on it is done."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a generation shows."""

    generation: int
    versions: dict[str, VersionRef] = field(default_factory=dict)  # by line
    tags: dict[str, str] = field(default_factory=dict)  # by line: version and output settings, see choosing.line_tag
    tag: str = ""  # of the step that installed it


@dataclass(frozen=True, slots=True)
class Debt:
    """A service that must be checked and reloaded because of a generation."""

    generation: int
    lines: tuple[str, ...]  # whose change is the cause
    may_go_back: bool = False  # a failed check or reload is blamed on the generation
    retry: Retry | None = None
    well: tuple[str, ...] = ()  # where the former versions were seen before: what is wrong there now is blamed too
    reloaded: bool = False  # only the probe is not right yet


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that hooks are to be told of, see happenings.py; `now`: what it is, `before`: what it was."""

    event: str
    line: str
    fields: dict[str, str]  # placeholders of the event
    names: tuple[str, ...]  # of the line
    now: str
    before: str = ""
    generation: int = 0
    seen: dict[str, str] = field(default_factory=dict)  # tag of an action -> the `now` that it was told of last
    failed: dict[str, Retry] = field(default_factory=dict)  # tag of a required action -> when it is tried again


@dataclass(frozen=True, slots=True)
class Pending:
    """A swap of the live generation that is about to be made, and what it makes owed."""

    shown: Shown
    debts: dict[str, Debt] = field(default_factory=dict)  # by service
    back: bool = False  # to a former generation
    happenings: dict[str, Happening] | None = None  # what hooks are owed after it; None: as before


@dataclass(frozen=True, slots=True)
class State:
    """The whole document."""

    format: int = FORMAT
    follower_id: str = ""  # whose state it is: of no use to another follower
    identity: str = ""  # thumbprint of its key, another one after each enrolment
    settings: dict[str, str] = field(default_factory=dict)  # those last followed: part -> tag, see pauses.py
    epoch: int = 0
    serial: int = 0
    etag: str | None = None
    manifest: bytes = b""  # as it came, signed
    lines: dict[str, HeldLine] = field(default_factory=dict)
    live: Shown | None = None
    former: Shown | None = None  # what was live before, while it may be put back
    pending: Pending | None = None
    debts: dict[str, Debt] = field(default_factory=dict)  # by service
    happenings: dict[str, Happening] = field(default_factory=dict)  # that hooks are to be told of
    failed: dict[str, Retry] = field(default_factory=dict)  # generations that could not be installed, by their tag
    prune: bool = False
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Line -> SPKI pins of the keys from the master that are on this host, kept generations included."""
    told_copies: dict[str, tuple[str, ...]] | None = None  # what the master was told of them; None: nothing yet
    skew: int | None = None  # seconds that this host's clock was ahead of the master's, when last told

    def line(self, name: str) -> HeldLine:
        return self.lines.get(name) or HeldLine()

    def installed(self, name: str) -> VersionRef | None:
        return self.live.versions.get(name) if self.live else None

    def shows(self, generation: int) -> bool:
        return self.live is not None and self.live.generation == generation

    def with_line(self, name: str, line: HeldLine) -> "State":
        return replace(self, lines={**self.lines, name: line})


def swapped(state: State) -> State:
    """The state once the pending swap has been made."""
    pending = state.pending
    if pending is None:
        return state
    return replace(
        state,
        live=pending.shown,
        former=_former(state, pending),
        debts={**state.debts, **pending.debts},
        happenings=state.happenings if pending.happenings is None else pending.happenings,
        pending=None,
        prune=True,
    )


def _former(state: State, pending: Pending) -> Shown | None:
    """What may be put back after the swap; the same as before where only outputs were put back in place."""
    if pending.back:
        return None
    return state.former if state.shows(pending.shown.generation) else state.live


def settled(state: State, generation: int | None, versions: dict[str, int]) -> State:
    """The state in the light of what is live on disk: a swap that a kill cut off was made, or was not.

    A rollback that was not made stays pending. What another program put there is taken as it is.
    """
    if generation is None:
        return replace(state, live=None, former=None, pending=None, debts={})
    if state.pending and state.pending.shown.generation == generation:
        return swapped(state)
    if state.live is None or state.live.generation != generation:
        found = Shown(generation, {line: VersionRef(number) for line, number in versions.items()})
        return replace(state, live=found, former=None, pending=None)
    return state if state.pending is None or state.pending.back else replace(state, pending=None)


def read(body: bytes) -> State:
    """Raises StateError for a newer format, codec.BadMessage (a ValueError) for what is no whole state."""
    newer = written_format(body)
    if newer is not None and newer > FORMAT:
        raise StateError(
            f"{_NAME} has format {newer}, this certline-follower reads up to {FORMAT}: install the newer release again"
        )
    return codec.read(State, body, most_bytes=MOST_BYTES)


class Keeper:
    """Reads and writes the document; the state in hand is the one on disk, unless `read_only`."""

    def __init__(self, state_dir: Path, *, read_only: bool = False) -> None:
        self.path = state_dir / _NAME
        self.read_only = read_only
        self.state = State()

    def load(self) -> str | None:
        """Take the state from disk; a note for the operator if it was lost and is to be rebuilt. Raises StateError."""
        try:
            self.state = read(self.path.read_bytes())
        except FileNotFoundError:
            self.state = State()
        except codec.BadMessage:
            self.state = State()
            return self._put_aside()
        except OSError as error:
            raise StateNotKept(f"{self.path} cannot be read: {error.strerror}") from None
        return None

    def _put_aside(self) -> str:
        aside = self.path.with_suffix(".damaged")
        if not self.read_only:
            self.path.replace(aside)
        return f"{self.path} was damaged: kept as {aside.name}, rebuilt from what is installed and from the master"

    def save(self, state: State) -> None:
        """Write it, if it changed, before anything that relies on it is done. Raises StateError."""
        if state != self.state and not self.read_only:
            try:
                write_private(self.path, codec.write(state))
            except OSError as error:
                raise StateNotKept(f"{self.path} cannot be written: {error.strerror}") from None
        self.state = state

    def note_contact(self) -> None:
        """Remember, as a file's time and without syncing, when the master last answered."""
        if not self.read_only:
            with suppress(OSError):
                (self.path.parent / CONTACT).touch()
