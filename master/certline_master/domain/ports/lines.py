"""Lines, their versions, and how far these are on which host."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from certline_master.domain.access import Caller
from certline_master.domain.deployment import Behind, InUse, Receiver
from certline_master.domain.model import (
    Certificate,
    Deployment,
    Line,
    LineCsr,
    LineSnapshot,
    Order,
    Renewal,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.rollout import Progress, Wave
from certline_master.domain.survival import LiveUntil


class LineRecords(Protocol):
    def all(self, caller: Caller, *, after: str | None = None, limit: int = 1_000_000) -> list[Line]:
        """By name; for a follower its own lines, for people those that are no rehearsal."""
        ...

    def get(self, caller: Caller, name: str) -> Line: ...
    def by_id(self, caller: Caller, line_id: str) -> Line: ...
    def of_order(self, caller: Caller, order_id: str) -> Line:
        """The line that an order is for. Raises NotFound."""
        ...

    def save(self, caller: Caller, line: Line) -> None:
        """Insert or update by id (a follower: only lines of its own, owner `follower`). Sets next_look as given."""
        ...

    def delete(self, caller: Caller, name: str) -> None:
        """Removes the wish; running orders are failed ("the line was deleted") so that their challenges are swept;
        versions go
        with it, an event stays."""
        ...

    def csrs(self, caller: Caller, line_id: str, slot: Slot = Slot.CURRENT) -> list[LineCsr]: ...
    def put_csr(self, caller: Caller, line_id: str, csr: LineCsr) -> None:
        """In its slot; one for the same key as before keeps `created` and `moved` as they were."""
        ...

    def drop_csrs(self, caller: Caller, line_id: str) -> None:
        """All of them, at a change of custody or key."""
        ...

    def of_key(self, caller: Caller, key_id: str) -> list[Line]:
        """The lines that name this key, by name; none for a follower."""
        ...

    def drop_previous(self, caller: Caller, line_id: str, spki_sha256: Sequence[str]) -> int:
        """Requests for former keys of the host; how many were."""
        ...

    def due(self, caller: Caller, now: datetime, limit: int) -> list[str]:
        """Ids of lines whose next_look has come, the most overdue first."""
        ...

    def snapshot(self, caller: Caller, line_id: str) -> LineSnapshot: ...
    def snapshots(self, caller: Caller, line_ids: Sequence[str]) -> list[LineSnapshot]: ...
    def set_next_look(self, caller: Caller, line_id: str, when: datetime | None) -> None: ...
    def pause(self, caller: Caller, line_id: str, reason: str) -> None:
        """Renew it no more; `reason` is for the operator."""
        ...

    def resume(self, caller: Caller, line_id: str, *, now: datetime) -> bool:
        """End a pause and look at the line now; False when it was not paused. A follower may for what it sees."""
        ...

    def looked(self, caller: Caller, line_id: str, *, was: datetime | None, then: datetime | None) -> bool:
        """Set next_look from `was` to `then`; False, and nothing set, when somebody has asked for another look
        meanwhile or the line is gone. The row stays locked for the transaction.
        """
        ...


class VersionRecords(Protocol):
    def ordered_since(self, caller: Caller, follower_id: str, since: datetime) -> list[datetime]:
        """When versions of the follower's lines were ordered, the oldest first."""
        ...

    def all(self, caller: Caller, line_id: str) -> list[Version]:
        """Newest first, with their certificates."""
        ...

    def get(self, caller: Caller, line_id: str, number: int) -> Version: ...
    def numbers(self, caller: Caller, line_ids: Sequence[str]) -> frozenset[tuple[str, int]]:
        """Which versions there are, by line id and number."""
        ...

    def for_keys(self, caller: Caller, spki_sha256: Sequence[str]) -> frozenset[str]:
        """Ids of the lines that ever had a certificate for one of these keys."""
        ...

    def live(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Version]: ...
    def live_since(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, datetime]:
        """When each line's live version became live, by line id."""
        ...

    def open(self, caller: Caller, version: Version, orders: Sequence[Order]) -> None:
        """Insert a version, its certificates and their orders. Raises Conflict when a live order for one of the
        (issuer, names,
        profile) exists already (the partial unique index); nothing is inserted then."""
        ...

    def drop_unopened(self, caller: Caller, line_id: str) -> int:
        """Forget versions whose orders no CA has heard of and no worker holds; how many."""
        ...

    def set_state(
        self, caller: Caller, version_id: str, state: VersionState, *, now: datetime, failure: "Any" = None
    ) -> None:
        """`live` also retires the version of the line that was live."""
        ...

    def hold(self, caller: Caller, version_id: str, *, since: datetime, until: datetime | None, why: str) -> None:
        """Of a staged version: since when it is, when it goes live, and why not sooner. NotFound for any other."""
        ...

    def set_renewal(self, caller: Caller, certificate_id: str, renewal: Renewal) -> None: ...
    def mark_replaced(self, caller: Caller, certificate_id: str) -> None: ...
    def certificate(self, caller: Caller, certificate_id: str) -> Certificate: ...


class StandingRecords(Protocol):
    """How far the followers are with their lines' versions. A follower sees nothing of it."""

    def receivers(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, tuple[Receiver, ...]]:
        """Who is to have each line, by name; by line id."""
        ...

    def lines_of(self, caller: Caller, follower_id: str) -> list[str]:
        """Ids of the lines that a follower is to have."""
        ...

    def reported(self, caller: Caller, line_ids: Sequence[str]) -> dict[tuple[str, str], dict[int, Deployment]]:
        """The newest versions' deployments, by line and follower, then by version."""
        ...

    def behind(self, caller: Caller, before: datetime) -> list[Behind]:
        """Active followers that have not reached their goal with a live version, and of which no alarm told; of a line
        for one follower only if it is live since before that moment.
        """
        ...

    def want(self, caller: Caller, follower_id: str, line_id: str, version: int, *, since: datetime) -> None:
        """Note that a follower was offered a version, unless it is known."""
        ...

    def want_again(self, caller: Caller, line_id: str, version: int, later: Sequence[int], *, since: datetime) -> None:
        """An older version is live again: it is wanted of whoever had one of the later ones."""
        ...

    def alarm(self, caller: Caller, follower_id: str, line_id: str, version: int, *, now: datetime) -> bool:
        """Note that a deployment's lateness is told; False when it was before, or it arrived meanwhile."""
        ...

    def in_use(self, caller: Caller, follower_id: str | None = None) -> list[InUse]:
        """What each active follower, or this one, has installed, as it last reported."""
        ...

    def live_until(self, caller: Caller) -> list[LiveUntil]:
        """The live versions of the lines that an active follower is to have."""
        ...


class WaveRecords(Protocol):
    def of_lines(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, dict[int, Wave]]:
        """By line id and version."""
        ...

    def under_way(self, caller: Caller) -> list[Wave]:
        """Those of live versions that not all may have yet."""
        ...

    def progress(self, caller: Caller, wave: Wave, now: datetime) -> Progress | None:
        """How the wave's followers do; None where the line has no rollout (any more)."""
        ...

    def move(self, caller: Caller, progress: Progress, then: Wave, *, now: datetime) -> bool:
        """What becomes of a wave; who comes in with the step is noted as offered the version. False, and nothing
        changed, when it is not as it was any more: somebody else moved it.
        """
        ...
