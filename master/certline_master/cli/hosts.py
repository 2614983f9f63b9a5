"""How far hosts are with versions, as a table with a line below for whatever is not as it should be."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from certline_master.cli.asking import columns, many

STEPS = ("wanted", "pulled", "installed", "reloaded", "served")
MOST_SKEW = 60  # seconds; a clock that is further off is told of
_SHOWN = 16  # digits of a fingerprint


def host_table(standings: Iterable[dict[str, Any]], by: Literal["follower", "line"]) -> Iterator[str]:
    """One row for each, named by follower or by line: the newest version that got as far as each step."""
    every = list(standings)
    if not every:
        return
    heading = (by.upper(), *(step.upper() for step in STEPS))
    rows = columns([heading, *[(one[by], *(str(one[step] or "-") for step in STEPS)) for one in every]])
    yield f"  {rows[0]}"
    for one, row in zip(every, rows[1:], strict=True):
        yield f"  {row}"
        yield from (f"      {text}" for text in _remarks(one))


def _remarks(one: dict[str, Any]) -> Iterator[str]:
    if not one["arrived"] or one["error"] or one.get("staged") or "waits" in one["text"]:
        yield ("LATE: " if one["late"] else "") + one["text"]
    for target, fingerprint in sorted(one["seen"].items()):
        yield f"{target} serves {fingerprint[:_SHOWN]}…"


def skew_text(seconds: int | None) -> str | None:
    """What is said of a clock; None while it is right."""
    if seconds is None or abs(seconds) <= MOST_SKEW:
        return None
    size, word = next((size, word) for size, word in _UNITS if abs(seconds) >= size)
    return f"its clock is {many(abs(seconds) // size, word)} {'ahead of' if seconds > 0 else 'behind'} the master's"


_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"))
