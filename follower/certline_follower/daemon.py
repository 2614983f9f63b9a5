"""`run`: turn after turn, woken by the master, until told to stop."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from queue import Queue
from types import FrameType
from typing import Any

from certline_follower import asking, deploying
from certline_follower.control import DEPLOY, WAKE, Request, listening
from certline_follower.ending import FAILED
from certline_follower.faults import InstallFault
from certline_follower.host import Host, log
from certline_follower.recovering import recover
from certline_follower.rehearsals_asked import Rehearsals
from certline_follower.state import StateError
from certline_follower.turn import Outcome, turn
from certline_shared.chance import Chance

LONGEST_POLL = 55  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 1_800.0  # seconds, security note 4.5
REVOKED_PAUSE = 86_400.0  # only an enrolment ends it (protocol, section 5)
_QUICK = 1.0  # the first new try after a failure
_PATIENCE = 3  # answers in a row that asked for nothing


class Woken(BaseException):
    """A signal came while the follower was waiting."""


class Signals:
    """SIGTERM and SIGINT stop, SIGHUP reads the settings anew; each ends a wait, none ends a step."""

    def __init__(self) -> None:
        self.stop = False
        self.reread = False
        self.asked = False  # somebody has a request, see control.py
        self._waiting = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._reread)
        signal.signal(WAKE, self._asked)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop = True
        self._wake()

    def _reread(self, _number: int, _frame: FrameType | None) -> None:
        self.reread = True
        self._wake()

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            self._waiting = False
            raise Woken

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While inside, a signal raises Woken; one that came just before does too."""
        self._waiting = True
        try:
            if self.stop or self.reread or self.asked:
                raise Woken
            yield
        finally:
            self._waiting = False


def run(open_host: Callable[[], Host], signals: Signals) -> None:
    """Until SIGTERM. `open_host` reads settings and identity; what it raises at first ends the run."""
    host = _opened(open_host(), signals)
    for note in recover(host):
        log.warning("%s", note)
    notify("READY=1")
    pace = Pace(host.chance, host.settings.poll_seconds)
    with listening(host.settings.state_dir) as requests:
        _go_on(open_host, host, signals, pace, requests)
    notify("STOPPING=1")


def _go_on(
    open_host: Callable[[], Host], host: Host, signals: Signals, pace: "Pace", requests: "Queue[Request]"
) -> None:
    rehearsals = Rehearsals()
    while not signals.stop:
        if signals.reread:
            signals.reread = False
            host = _reopened(open_host, host, signals)
            pace.wait = 0  # what the new settings ask for is done before anything is waited for
        if signals.asked:
            signals.asked = False
            answer(host, requests)
        try:
            _one(host, pace, rehearsals)
        except Woken:
            continue
    host.client.close()


def answer(host: Host, requests: "Queue[Request]") -> None:
    """Each request is done whole: a signal, or somebody else's request, that comes meanwhile waits for its end."""
    interruptible, host.interruptible = host.interruptible, nullcontext
    while not requests.empty():
        request = requests.get()
        try:
            request.answer(_done(host, request))
        except (StateError, InstallFault, OSError) as error:
            request.answer({"failures": [str(error)], "exit_code": FAILED})
    host.interruptible = interruptible


def _done(host: Host, request: Request) -> dict[str, Any]:
    if request.what == DEPLOY:
        return deploying.deployed(host, request.lines)
    return asking.asked(host, request.what, request.lines)


def _opened(host: Host, signals: Signals) -> Host:
    host.interruptible = signals.interruptible
    return host


def _reopened(open_host: Callable[[], Host], host: Host, signals: Signals) -> Host:
    """The host under its new settings; under the former ones when they cannot be used."""
    try:
        new = _opened(open_host(), signals)
        recover(new)
    except Exception as error:  # noqa: BLE001 whatever is wrong with the new file, the daemon goes on with the old one
        log.error("the settings stay as they were: %s", error)
        return host
    host.client.close()
    log.info("settings read anew")
    return new


def _one(host: Host, pace: "Pace", rehearsals: Rehearsals) -> None:
    """One turn, and the pause after it. Raises Woken."""
    try:
        outcome = turn(host, pace.wait)
        rehearsals.look(host)
    except (StateError, InstallFault, OSError) as error:
        log.error("%s", error)
        outcome = Outcome(failures=[str(error)], lost=True)
    pace.tell(outcome.notes)
    pause = pace.after(outcome, None if outcome.next_look is None else (outcome.next_look - host.now()).total_seconds())
    if outcome.away:
        log.warning("%s; next try in %.0f s", outcome.away, pause)
    if pause > 0:
        host.pause(pause)


class Pace:
    """How long to wait: at the master where it holds the request open, else here."""

    def __init__(self, chance: Chance, poll_seconds: float = 300.0) -> None:
        self._chance = chance
        self._poll = poll_seconds
        self._away = 0  # failures in a row to hear the master
        self._failing = 0  # turns in a row with a failed step
        self._idle = 0  # answers in a row, before their time, that asked for nothing
        self._told: tuple[str, ...] = ()
        self.wait = 0  # seconds to ask the master to hold the next request

    def tell(self, notes: tuple[str, ...]) -> None:
        """Log what is new among the notes of the last plan."""
        for note in notes:
            if note not in self._told:
                log.warning("%s", note)
        self._told = notes

    def after(self, outcome: Outcome, look_in: float | None) -> float:
        """The pause in seconds before the next turn; `look_in`: seconds until something here is due."""
        asked, self.wait = self.wait, 0
        if outcome.away or outcome.lost:
            self._away += 1
            pause = self._full_jitter(self._away, getattr(outcome.away, "retry_after", None))
            if getattr(outcome.away, "kind", None) == "revoked":
                pause = REVOKED_PAUSE
            return pause if look_in is None else min(pause, max(look_in, _QUICK))
        self._away = 0
        self._failing = self._failing + 1 if outcome.failures else 0
        limits = [float(LONGEST_POLL), *([max(look_in, 1.0)] if look_in is not None else [])]
        if self._failing:
            limits.append(self._full_jitter(self._failing, None) + 1.0)
        self.wait = max(1, int(min(limits)))
        pause = self._idle_pause(outcome, asked)
        return pause if look_in is None else min(pause, max(look_in, 1.0))

    def _idle_pause(self, outcome: Outcome, asked: int) -> float:
        """A master that answers before the time, and with nothing to do, is not asked again at once."""
        if outcome.done or outcome.polled > asked / 2 or not asked:
            self._idle = 0
            return 0.0
        self._idle += 1
        if outcome.news:
            return 0.0 if self._idle <= _PATIENCE else min(2.0 ** min(self._idle - _PATIENCE, 5), self._poll)
        return outcome.retry_after or self._poll * self._chance.uniform(0.8, 1.2)

    def _full_jitter(self, failures: int, retry_after: int | None) -> float:
        if retry_after is not None:
            return retry_after * self._chance.uniform(1.0, 1.1)
        if failures == 1:
            return self._chance.uniform(0.1, _QUICK)
        return self._chance.uniform(0.5, min(FIRST_PAUSE * 2.0 ** min(failures - 2, 30), LONGEST_PAUSE))


def notify(state: str) -> None:
    """Tell systemd, when it asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            log.warning("systemd could not be told %s: %s", state, error)
