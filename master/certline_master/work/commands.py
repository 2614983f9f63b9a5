"""Telling commands what happens to orders and challenges, and keeping those that run as long as an order."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from certline_master.domain.access import SYSTEM
from certline_master.domain.commands import Command
from certline_master.domain.errors import NotFound, SolverError
from certline_master.domain.model import Challenge, ChallengeType, FailureClass, Line
from certline_master.domain.ports import LineRecords
from certline_master.work.context import Context
from certline_master.work.journey import Journey
from certline_shared import placeholders, running
from certline_shared.failpoints import failpoint
from certline_shared.running import NotStarted, Running

Values = Mapping[str, str | Sequence[str]]

log = logging.getLogger("certline.work.commands")


class Commands:
    """Runs what lines name. A failure is a warning, unless the command is required and there is an order to hold."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def named(self, line: Line, event: str) -> list[Command]:
        """The commands of a line at an event; one that the settings have no more is told and left out."""
        found = []
        for name in line.options.commands.get(event, ()):
            command = self._context.commands.get(name)
            if command is None:
                log.warning("the settings have no such command", extra={"line": line.name, "command": name})
            else:
                found.append(command)
        return found

    def line_of(self, journey: Journey) -> Line | None:
        """None where no command could be named, or the line is gone."""
        return self._line(lambda lines: lines.by_id(SYSTEM, journey.work.line_id))

    def published(self, journey: Journey, challenges: Iterable[Challenge]) -> None:
        """Answers were put in place. Raises SolverError."""
        line = self.line_of(journey)
        if line is not None:
            self._of_challenges("set", line, list(challenges), set(), hold=True)

    def removed(self, challenges: Iterable[Challenge]) -> None:
        """Answers were taken away again."""
        updated: set[tuple[str, str]] = set()
        by_order: dict[str, list[Challenge]] = {}
        for challenge in challenges:
            by_order.setdefault(challenge.order_id, []).append(challenge)
        for order_id, rows in by_order.items():
            line = self._line(partial(_line_of_order, order_id))
            if line is not None:
                self._of_challenges("clear", line, rows, updated, hold=False)

    def ended(self, journey: Journey, event: str, **values: str) -> None:
        """An order ended."""
        line = self.line_of(journey)
        if line is not None:
            told = {"key_type": str(journey.work.certificate.key_type), **values}
            self._tell(line, event, told, hold=False)

    def _line(self, find: Callable[[LineRecords], Line]) -> Line | None:
        if not self._context.commands:
            return None
        try:
            with self._context.store.read() as records:
                return find(records.lines)
        except NotFound:
            return None

    def _of_challenges(
        self, verb: str, line: Line, rows: Sequence[Challenge], updated: set[tuple[str, str]], *, hold: bool
    ) -> None:
        for row in sorted(rows, key=lambda row: row.record):
            by_dns = row.type is ChallengeType.DNS_01
            more = {"zone": row.zone or "", "record": row.record, "challenge": row.value} if by_dns else {}
            values = {"domain": row.name, "token": row.token, **more}
            self._tell(line, f"{verb}_{'dns' if by_dns else 'http'}_challenge", values, hold=hold)
        for zone in dict.fromkeys(row.zone for row in rows if row.zone):
            self._tell(line, "dns_zone_update", {"zone": zone}, hold=hold, once=updated)

    def _tell(
        self, line: Line, event: str, values: Values, *, hold: bool, once: set[tuple[str, str]] | None = None
    ) -> None:
        for command in self.named(line, event):
            place = (command.name, str(values.get("zone")))
            if once is not None and place in once:
                continue
            if once is not None:
                once.add(place)
            self._run(command, line, {**told_of(line, event), **values}, hold=hold)

    def _run(self, command: Command, line: Line, values: Values, *, hold: bool) -> None:
        done = running.run(
            placeholders.filled(command.argv, values),
            timeout=command.timeout,
            env=_environment(line, values),
            around=command.around,
        )
        failpoint("command.ran")
        extra = {"line": line.name, "command": command.name, "detail": done.detail}
        if done.ok:
            log.info("a command ran", extra=extra)
            return
        log.warning("a command failed", extra=extra)
        if command.required and hold:
            raise SolverError(f"the command {command.name}: {done.detail}", FailureClass.RETRY_SOON)


def _line_of_order(order_id: str, lines: LineRecords) -> Line:
    return lines.of_order(SYSTEM, order_id)


def told_of(line: Line, event: str) -> Values:
    return {"event": event, "line": line.name, "domains_cn": line.names[0], "domains_all": line.names}


def _environment(line: Line, values: Values) -> dict[str, str]:
    return {"CERTLINE_EVENT": str(values["event"]), "CERTLINE_LINES": line.name}


class Preparations:
    """The processes that run as long as an order is in hand: one for each order and command."""

    def __init__(self, context: Context, commands: Commands) -> None:
        self._context = context
        self._commands = commands
        self._lock = threading.Lock()
        self._running: dict[str, list[tuple[Command, Running]]] = {}

    def begin(self, journey: Journey) -> None:
        """Unless they run already. Raises SolverError where a required one does not start."""
        if not self._context.commands:
            return
        with self._lock:
            mine = self._running.get(journey.order.id)
        if mine is not None:
            for _, process in mine:
                process.listen()
            return
        line = self._commands.line_of(journey)
        with self._lock:
            mine = self._running.setdefault(journey.order.id, [])
        for command in self._commands.named(line, "prepare") if line else ():
            self._start(journey, line, command, mine)

    def _start(
        self, journey: Journey, line: Line | None, command: Command, mine: list[tuple[Command, Running]]
    ) -> None:
        if line is None:
            return
        values = {**told_of(line, "prepare"), "key_type": str(journey.work.certificate.key_type)}
        words = placeholders.filled(command.argv, values)
        try:
            process = running.start(words, env=_environment(line, values), around=command.around, hold_input=True)
        except NotStarted as why:
            log.warning("a preparation did not start", extra={"line": line.name, "command": command.name})
            if command.required:
                self.end(journey.order.id)
                raise SolverError(f"the command {command.name}: {why}", FailureClass.RETRY_SOON) from None
            return
        failpoint("command.prepared")
        mine.append((command, process))

    def end(self, order_id: str, grace: float = running.GRACE_SECONDS) -> None:
        """The order is over, or no longer in our hands."""
        with self._lock:
            mine = self._running.pop(order_id, [])
        for command, process in mine:
            with process:
                detail = process.end(grace)
                log.info(
                    "a preparation ended", extra={"command": command.name, "detail": f"{detail}\n{process.tail()}"}
                )

    def end_all(self, grace: float) -> None:
        """We stop."""
        with self._lock:
            orders = list(self._running)
        for order_id in orders:
            self.end(order_id, grace)
