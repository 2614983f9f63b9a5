"""The things a turn works with, and the state in hand."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from certline_follower import identity as identities
from certline_follower.counting import Sequence
from certline_follower.disk import Installer
from certline_follower.identity import Identity
from certline_follower.looking import Looker, TlsLooker
from certline_follower.master_client import ManifestAnswer
from certline_follower.material import Material
from certline_follower.settings import Settings
from certline_follower.state import HeldLine, Keeper, Retry, State, later
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.manifest import Manifest
from certline_shared.messages import LineAnswer, LineAsk, LineTold, LineWish, Report, VersionContent

log = logging.getLogger("certline.follower")


class StepFailed(Exception):
    """A step that did not come about; what is owed is on record. The text is for the operator."""


class StepWarned(Exception):
    """A step that was done, and of which the operator should know more. The text is for the operator."""


class StepVoid(Exception):
    """A step whose cause is gone since it was planned."""


class StepRefused(Exception):
    """The master said no to a step; that is on record, and the next plan tells it."""


class Master(Protocol):
    """What a turn asks of the master: by its API (master_client.py), or of what was carried here (carried.py)."""

    def close(self) -> None: ...
    def now(self) -> datetime: ...
    def skew(self) -> int | None: ...
    def believe(self, signing_keys: tuple[bytes, ...], tls_pins: tuple[str, ...]) -> None: ...
    def manifest(self, etag: str | None, wait: int = 0) -> ManifestAnswer: ...
    def put_line(self, name: str, wish: LineWish) -> LineAnswer: ...
    def ask_line(self, name: str, what: str, ask: LineAsk) -> LineTold: ...
    def version(self, line: str, number: int) -> VersionContent: ...
    def hand_back(self, content: VersionContent) -> None: ...
    def report(self, report: Report) -> None: ...


@dataclass(slots=True)
class Host:
    """One host's parts, all of them replaceable."""

    settings: Settings
    identity: Identity
    client: Master
    installer: Installer
    keeper: Keeper
    material: Material
    clock: Clock
    chance: Chance
    manifest: Manifest | None = None
    looker: Looker = field(default_factory=TlsLooker)
    forced: frozenset[str] = frozenset()  # lines that an operator wants deployed now, see deploying.py
    quiet: bool = False  # neither hooks nor services are run: they stay owed
    keys_refused_until: float = 0.0  # monotonic: when to try again to change this host's keys
    sequence: Sequence | None = None  # of changing requests; opened with the first
    interruptible: Callable[[], AbstractContextManager[None]] = nullcontext  # around the wait for the master

    @property
    def state(self) -> State:
        return self.keeper.state

    def save(self, state: State) -> None:
        self.keeper.save(state)

    def save_line(self, name: str, line: HeldLine) -> None:
        self.keeper.save(self.state.with_line(name, line))

    def next_sequence(self) -> int:
        """The number of the next request that changes something; on disk before it is used."""
        if self.sequence is None:
            self.sequence = Sequence(self.settings.state_dir, self.chance)
        has_asked = any(line.asked or line.reported for line in self.state.lines.values())
        return self.sequence.next(self.now(), is_first=not has_asked)

    def now(self) -> datetime:
        """The master's time as far as known."""
        return self.client.now()

    def later(self, former: Retry | None, error: str) -> Retry:
        return later(former, error, self.now(), self.chance)

    def pause(self, seconds: float) -> None:
        """Wait; a signal may end it."""
        with self.interruptible():
            self.clock.pause(seconds, threading.Event())

    def learn(self, manifest: Manifest) -> None:
        """Follow a manifest; the keys and pins it announces are on disk before they are relied on."""
        known = identities.with_keys(
            self.identity, signing_keys=manifest.signing_keys, tls_pins=manifest.tls_pins, epoch=manifest.epoch
        )
        if known != self.identity and not self.keeper.read_only:
            identities.save(self.settings.state_dir, known)
            self.identity = known
            self.client.believe(known.signing_keys, known.tls_pins)
        if self.manifest and manifest.epoch > self.manifest.epoch:
            log.warning("the master was restored from a backup", extra={"epoch": manifest.epoch})
        self.manifest = manifest
