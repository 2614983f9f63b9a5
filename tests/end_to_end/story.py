"""Telling what happens, line by line, with the time each step took."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from certline_shared.clock import SystemClock
from tests.end_to_end.host import FollowerHost
from tests.end_to_end.master import MasterProcess, records_in
from tests.end_to_end.waiting import eventually

STEP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Colours:
    """Escape sequences for a terminal, nothing elsewhere."""

    on: bool

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.on else text

    def green(self, text: str) -> str:
        return f"\033[32m{text}\033[0m" if self.on else text

    def red(self, text: str) -> str:
        return f"\033[31m{text}\033[0m" if self.on else text


class Story:
    """Lines on standard output."""

    def __init__(self, colours: Colours) -> None:
        self._colours = colours
        self._clock = SystemClock()
        self._started = self._last = self._clock.now()

    def line(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 a program for people

    def chapter(self, text: str) -> None:
        self.line(f"\n{self._colours.bold(text)}")

    def begin(self) -> None:
        """The next step's time counts from now."""
        self._last = self._clock.now()

    def step(self, text: str, at: datetime | None = None) -> None:
        """Something came about, at a time that a log gives, else now."""
        moment = at or self._clock.now()
        took = max(0.0, (moment - self._last).total_seconds())
        self._last = max(moment, self._last)
        self.line(f"  {self._colours.green(f'{took:6.2f} s')}  {text}")

    def follow(self, text: str, look: Callable[[], datetime | None]) -> None:
        """Wait until something was seen; AssertionError when it is not in time."""
        self.step(text, eventually(look, STEP_SECONDS, text))

    def total(self) -> None:
        took = (self._clock.now() - self._started).total_seconds()
        self.line(f"\n  {took:6.2f} s  in all")

    def failed(self, why: str) -> None:
        self.line(f"{self._colours.red('demo: failed:')} {why}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the two programs say of themselves."""

    master: MasterProcess
    host: FollowerHost

    def records(self) -> list[dict[str, Any]]:
        return [*self.master.log_records(), *records_in(self.host.log_file)]


def logged(seen: Seen, event: str, nth: int, **fields: str) -> datetime | None:
    """When a log said this for the nth time."""
    wanted = {"event": event, **fields}
    found = [one for one in seen.records() if all(one.get(key) == value for key, value in wanted.items())]
    return datetime.fromisoformat(found[nth - 1]["time"]) if len(found) >= nth else None


def noted(seen: Seen, kind: str) -> datetime | None:
    """When the master noted the last event of a kind."""
    found = seen.master.events(kind)
    return datetime.fromisoformat(found[-1]["at"]) if found else None
