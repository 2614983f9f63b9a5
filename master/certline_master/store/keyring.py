"""The KEKs that a process holds: the present one, and those that stand beside it while one takes the other's place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from certline_master.domain.errors import Invalid
from certline_master.store.kek import Kek, KekAway, read_kek

SEALED = "sealed: no key encryption key was given; set [secrets] kek and restart"
NEW, FORMER = ".new", ".former"
"""What a key file is called beside its name while it comes, and after it went."""


@dataclass(slots=True)
class Keyring:
    """`present` wraps what is new; any of them opens what it wrapped. `reread` looks again at where they came from."""

    present: Kek | None
    others: tuple[Kek, ...] = ()
    why_sealed: str = SEALED
    reread: Callable[[], Sequence[Kek]] = tuple
    _asked: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        return self.present is None and not self.others

    @property
    def shown(self) -> str:
        """The ids of all, for a message."""
        return ", ".join(kek.id for kek in self.all())

    def find(self, kek_id: str) -> Kek | None:
        """The KEK of that id. A key that was rotated under a running master is looked for once where ours came from."""
        found = next((kek for kek in self.all() if kek.id == kek_id), None)
        if found is not None or self.is_empty or kek_id in self._asked:
            return found
        self._asked.add(kek_id)
        self.others += tuple(kek for kek in self.reread() if kek not in self.all())
        return next((kek for kek in self.others if kek.id == kek_id), None)

    def all(self) -> tuple[Kek, ...]:
        """The present one first."""
        return (*((self.present,) if self.present else ()), *self.others)


@dataclass(frozen=True, slots=True)
class KekSource:
    """Where the settings say that the KEK comes from."""

    text: str | None
    command: tuple[str, ...] = ()
    data_folder: Path | None = None

    @property
    def file(self) -> Path | None:
        scheme, _, rest = (self.text or "").partition(":")
        return Path(rest) if scheme == "file" and rest else None

    def read(self) -> Kek:
        """Raises Invalid, KekAway where no key is to be had now."""
        return read_kek(self.text or "", command=self.command, data_folder=self.data_folder)

    def keyring(self) -> Keyring:
        """What is to be had. Raises Invalid for a source that is no good, or a file that others may read."""
        if self.text is None:
            return Keyring(None)
        try:
            return Keyring(self.read(), self.beside(), reread=self._again)
        except KekAway as why:
            return Keyring(None, self.beside(), why_sealed=f"sealed: {why.faults[0].detail}")

    def beside(self) -> tuple[Kek, ...]:
        """The keys of a rotation that is under way or not retired yet."""
        if self.file is None:
            return ()
        names = (self.file.with_name(self.file.name + suffix) for suffix in (NEW, FORMER))
        return tuple(read_kek(f"file:{path}", data_folder=self.data_folder) for path in names if path.exists())

    def _again(self) -> Sequence[Kek]:
        try:
            return (self.read(), *self.beside())
        except Invalid:
            return ()
