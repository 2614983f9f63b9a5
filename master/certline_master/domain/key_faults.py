"""What is wrong with the keys of a desired fleet, and with the lines that name them. Pure."""

from collections.abc import Iterator, Mapping

from certline_master.domain.durations import seconds_of
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import Current, DesiredFleet, DesiredKey, DesiredLine, Scope
from certline_master.domain.model import Custody
from certline_master.domain.pointers import pointer

MOST_PIN_DAYS = 3650


def key_faults(desired: DesiredFleet, current: Current, scope: Scope) -> Iterator[Fault]:
    """Each with its place."""
    stay = {line.name for line in current.lines if not scope.covers("line", line)}
    for name, key in desired.keys.items():
        if name in desired.lines or name in stay:
            text = f"a line is called {name} too, and its own key bears that name: give the key another one"
            yield Fault(pointer("keys", name), text)
        yield from _of_key(name, key)
    known = {key.name for key in current.keys if not scope.covers("key", key)} | set(desired.keys)
    for name, line in desired.lines.items():
        yield from _of_line(name, line, known, desired.keys)
    yield from _shared_by_hosts(desired)
    yield from _left_behind(current, scope, known)


def _of_key(name: str, key: DesiredKey) -> Iterator[Fault]:
    if key.max_age is not None:
        try:
            empty = seconds_of(key.max_age) == 0
        except ValueError as fault:
            yield Fault(pointer("keys", name, "max_age"), str(fault))
        else:
            if empty:
                yield Fault(pointer("keys", name, "max_age"), "must be longer than nothing: leave it out for no limit")
    elif key.auto:
        yield Fault(pointer("keys", name, "auto"), "needs `max_age`: it says when the key is rolled over by itself")
    if key.pin_days is not None and not 0 <= key.pin_days <= MOST_PIN_DAYS:
        yield Fault(pointer("keys", name, "pin_days"), f"must be from 0 to {MOST_PIN_DAYS}")


def _of_line(name: str, line: DesiredLine, known: set[str], keys: Mapping[str, DesiredKey]) -> Iterator[Fault]:
    if line.key is None:
        return
    if line.key not in known:
        yield Fault(pointer("lines", name, "key"), f"there is no key {line.key!r}: add it to `keys:`")
    if line.csr:
        yield Fault(pointer("lines", name, "key"), "the line's request is given, so its key is not ours: leave it out")
    wanted = keys[line.key].key_types if line.key in keys else ()
    strange = [str(kind) for kind in line.key_types if wanted and kind not in wanted]
    if strange:
        text = f"the key {line.key} is of {', '.join(wanted)}, not {', '.join(strange)}"
        yield Fault(pointer("lines", name, "key_types"), text)


def _shared_by_hosts(desired: DesiredFleet) -> Iterator[Fault]:
    """A private key of a host never leaves it, so it is for one line of it."""
    by_key: dict[str, list[str]] = {}
    for name, line in desired.lines.items():
        if line.key is not None:
            by_key.setdefault(line.key, []).append(name)
    for key, names in by_key.items():
        at_home = [name for name in names if desired.lines[name].custody is Custody.FOLLOWER]
        for name in at_home if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            text = f"{others} has the key {key} too, so the master has to keep it: write `custody: master`"
            yield Fault(pointer("lines", name, "key"), text)


def _left_behind(current: Current, scope: Scope, known: set[str]) -> Iterator[Fault]:
    names = {key.id: key.name for key in current.keys}
    for line in current.lines:
        name = names.get(line.key_id or "")
        if name and name not in known and not scope.covers("line", line):
            yield Fault("/keys", f"the line {line.name} still names the key {name}: change the line first")
