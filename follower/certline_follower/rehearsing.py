"""A rehearsal: turns like those in use, beside them, with keys, files and certificates that are for nothing else."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from certline_follower import identity as identities
from certline_follower import opening, rehearsal_settings, reports
from certline_follower.disk import Installer
from certline_follower.host import Host, log
from certline_follower.lock import RunLock
from certline_follower.master_client import AGENT, Credentials, ManifestAnswer, MasterClient
from certline_follower.master_faults import MasterFault, Refused
from certline_follower.material import Material
from certline_follower.recovering import recover
from certline_follower.rehearsal_settings import FILES, STATE, folder_of, folders_of
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import Keeper
from certline_follower.turn import Outcome, turn
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.messages import (
    DeploymentReport,
    LineAnswer,
    LineAsk,
    LineTold,
    LineWish,
    RehearsalWish,
    Report,
    VersionContent,
)

LONGEST_POLL = 55  # seconds
LONGEST = 300.0  # seconds that certificates are waited for, where nobody says otherwise
_SHORT = 1.0  # seconds between two looks where the master does not hold a request open
_MOST_ERROR = 2_000  # characters, as the master takes them
_TOO_OLD = "this master knows no rehearsals: it needs release 0.3.0 or newer"


class Rehearsed:
    """The master's client as a rehearsal needs it: all that is asked is marked, and what is reported stays here."""

    def __init__(self, client: MasterClient) -> None:
        self._client = client
        self.told: dict[str, DeploymentReport] = {}  # by line, the newest

    def close(self) -> None:
        self._client.close()

    def now(self) -> datetime:
        return self._client.now()

    def skew(self) -> int | None:
        return self._client.skew()

    def believe(self, signing_keys: tuple[bytes, ...], tls_pins: tuple[str, ...]) -> None:
        self._client.believe(signing_keys, tls_pins)

    def manifest(self, etag: str | None, wait: int = 0) -> ManifestAnswer:
        return self._client.manifest(etag, wait)

    def put_line(self, name: str, wish: LineWish) -> LineAnswer:
        """Raises what the client raises; from a master that has no rehearsals a Refused that says so."""
        try:
            return self._client.rehearse(name, RehearsalWish(wish.names, wish.csrs))
        except Refused as refused:
            if refused.kind == "bad-message" and "test" in refused.problem.detail:
                raise Refused(replace(refused.problem, detail=_TOO_OLD)) from None
            raise

    def ask_line(self, name: str, what: str, _ask: LineAsk) -> LineTold:
        """Never: that is for what is in use."""
        raise TypeError(f"a rehearsal does not ask to {what} {name}, which is in use")

    def version(self, line: str, number: int) -> VersionContent:
        return self._client.version(line, number, test=True)

    def hand_back(self, content: VersionContent) -> None:
        """Nothing of a rehearsal is handed back."""

    def report(self, report: Report) -> None:
        self.told |= {one.line: one for one in report.deployments}

    def end(self, serial: int, told: tuple[DeploymentReport, ...]) -> None:
        """The one report that is sent: how it ended."""
        self._client.report(Report(AGENT, serial, (), rehearsals=told))


@dataclass(frozen=True, slots=True)
class LineResult:
    """How one line's rehearsal ended."""

    line: str
    state: str | None  # how far it came; None: nothing was installed
    goal: str
    error: str | None = None
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        return self.error is None and self.state == self.goal


@dataclass(frozen=True, slots=True)
class Result:
    """How the whole ended."""

    lines: tuple[LineResult, ...]
    troubles: tuple[str, ...]  # of hooks and services
    ran: tuple[str, ...]  # hooks and services, in this order
    files: Path

    @property
    def well(self) -> bool:
        return not self.troubles and all(line.well for line in self.lines)


@contextmanager
def prepared(
    settings: Settings, lines: tuple[str, ...], clock: Clock, chance: Chance, passphrase_file: Path | None = None
) -> Iterator[Host | None]:
    """A host for these lines of the settings, in an empty tree; None while another rehearsal is under way.

    Raises IdentityError, SettingsError, OSError.
    """
    logging.getLogger("certline").addHandler(logging.NullHandler())
    identity = identities.load(settings.state_dir)
    folder, wanted = folder_of(settings), rehearsal_settings.rehearsal_settings(settings, lines)
    folder.mkdir(mode=0o755, exist_ok=True)
    with RunLock(folder) as lock:
        if not lock.acquire(False):
            yield None
            return
        _clear(folder)
        wanted.state_dir.mkdir(mode=0o755)
        for place in folders_of(wanted):
            _make_like(place, folder / FILES)
        credentials = Credentials(identity.follower_id, identity.identity_key, identity.signing_keys)
        client = Rehearsed(opening.client_for(wanted, identity, credentials, clock, chance))
        try:
            yield Host(
                settings=wanted,
                identity=identity,
                client=client,
                installer=Installer(wanted, clock),
                keeper=Keeper(wanted.state_dir),
                material=Material(wanted.state_dir, opening.line_keys(wanted, passphrase_file)),
                clock=clock,
                chance=chance,
            )
        finally:
            client.close()


def _clear(folder: Path) -> None:
    """What the former rehearsal left to be looked at."""
    for name in (STATE, FILES):
        shutil.rmtree(folder / name, ignore_errors=not (folder / name).exists())


def _make_like(place: Path, tree: Path) -> None:
    """A folder of the tree, and those above it, with mode and owners of the ones that they stand for where there are
    such and that is permitted.
    """
    steps = place.relative_to(tree).parts
    tree.mkdir(mode=0o755, exist_ok=True)
    for count in range(1, len(steps) + 1):
        made, model = tree.joinpath(*steps[:count]), Path("/").joinpath(*steps[:count])
        if made.is_dir():
            continue
        made.mkdir(mode=0o755)
        with suppress(OSError):
            found = model.stat()
            made.chmod(found.st_mode & 0o777)
            os.chown(made, found.st_uid, found.st_gid)


def rehearse(host: Host, timeout: float) -> Result:
    """Run it to its end, and tell the master of it. Raises MasterFault, StateError, InstallFault."""
    client = host.client
    if not isinstance(client, Rehearsed):
        raise TypeError("a rehearsal has a client of its own")
    recover(host)
    refused = _begin(host, client)
    until = host.clock.monotonic() + timeout
    outcomes = [turn(host)]
    while _worth_waiting(host, outcomes[-1], refused) and (left := until - host.clock.monotonic()) > 0:
        outcomes.append(turn(host, wait=max(1, min(LONGEST_POLL, int(left)))))
        if not outcomes[-1].done and outcomes[-1].polled < _SHORT:
            host.pause(_SHORT)
    if (away := outcomes[-1].away) is not None:
        raise away
    result = _result(host, client, outcomes, refused, timeout)
    _tell(host, client, result)
    return result


def _begin(host: Host, client: Rehearsed) -> dict[str, str]:
    """Lines that the operator made are to be begun, those that this host asks for begin with their request; which are
    refused, and why.
    """
    refused: dict[str, str] = {}
    for line in host.settings.lines:
        if line.names is None:
            try:
                client.put_line(line.name, LineWish(None))
            except Refused as why:
                if why.passing:
                    raise
                refused[line.name] = str(why)
    return refused


def _worth_waiting(host: Host, outcome: Outcome, refused: Mapping[str, str]) -> bool:
    """Whether a line may still get its version."""
    if outcome.away is not None:
        return False
    errors = _errors(host, refused)
    return any(name not in errors and not host.state.line(name).held_back for name in outcome.waiting)


def _errors(host: Host, refused: Mapping[str, str]) -> dict[str, str]:
    """Why lines get no version: the master refuses them, or their order failed."""
    offered = host.manifest.lines if host.manifest else ()
    failed = {line.name: line.error for line in offered if line.error and line.version is None}
    held = {line.name: host.state.line(line.name).refusal for line in host.settings.lines}
    return {**failed, **{name: one.retry.error for name, one in held.items() if one}, **refused}


def _result(
    host: Host, client: Rehearsed, outcomes: list[Outcome], refused: Mapping[str, str], timeout: float
) -> Result:
    errors, late = _errors(host, refused), f"no certificate within {timeout:g} s"
    lines = tuple(_line_result(host, client, line, errors.get(line.name, late)) for line in host.settings.lines)
    known = {line.error for line in lines if line.error}
    troubles = [text for one in outcomes for text in (*one.failures, *one.warnings)]
    ran = tuple(_words(step) for one in outcomes for step in one.done)
    told = dict.fromkeys(text for text in troubles if not any(error in text for error in known))
    return Result(lines, tuple(told), tuple(filter(None, ran)), folder_of_files(host))


def folder_of_files(host: Host) -> Path:
    return host.settings.state_dir.parent / FILES


def _line_result(host: Host, client: Rehearsed, line: LineSettings, why_none: str) -> LineResult:
    goal, told = reports.goal_of(host.settings, line), client.told.get(line.name)
    if host.state.installed(line.name) is None:
        error = (told.error if told else None) or why_none
        return LineResult(line.name, None, goal, error)
    latest = reports.deployment(host.settings, line, host.state, None, None)
    if latest is None:
        return LineResult(line.name, None, goal, why_none)
    return LineResult(line.name, latest.state, goal, latest.error, latest.seen)


def _words(step: object) -> str:
    action = getattr(step, "action", None)
    if action is not None:
        return str(action.name)
    service = getattr(step, "service", None)
    return f"{type(step).__name__.lower()} {service}" if service else ""


def _tell(host: Host, client: Rehearsed, result: Result) -> None:
    """The master has its last word, and forgets the rehearsal; it does so by itself where it cannot be told."""
    beside = "; ".join(result.troubles) or None
    told = tuple(
        DeploymentReport(
            one.line, 0, one.state or "pulled", (one.error or beside or "")[:_MOST_ERROR] or None, one.goal
        )
        for one in result.lines
    )
    try:
        client.end(host.state.serial, told)
    except MasterFault as fault:
        log.warning("the master could not be told how the rehearsal ended: %s", fault)
