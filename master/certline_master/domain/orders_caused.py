"""The certificates that changes of the fleet will have ordered, as the planner decides. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from certline_master.domain.fleet import Current, DesiredFleet, DesiredLine
from certline_master.domain.fleet_changes import Change, FieldChange

_CAUSES = ("custody", "names", "issuer", "profile", "key_types", "key", "common_name", "must_staple", "csr")
_LEFT_ALONE = ("profile", "common_name")
"""What is not said any more stays as it is until the next renewal."""


@dataclass(frozen=True, slots=True)
class OrderCaused:
    """A certificate that a change will have ordered, once its follower has sent the request for it."""

    line: str
    names: tuple[str, ...]
    issuer: str | None
    reason: str
    key_type: str = ""


def orders_caused(changes: Iterable[Change], current: Current, desired: DesiredFleet) -> tuple[OrderCaused, ...]:
    """One for each key type of each line that a change makes another certificate of."""
    changes = tuple(changes)
    own = {change.name: reason for change in changes if (reason := _of_the_line(change))}
    reasons = own | {name: why for name, why in _of_the_issuer(changes, current, desired) if name not in own}
    default = default_issuer(current, desired)
    return tuple(
        OrderCaused(name, line.names, line.issuer or default, reasons[name], str(key_type))
        for name in reasons
        for line in [desired.lines[name]]
        for key_type in line.key_types
    )


def default_issuer(current: Current, desired: DesiredFleet) -> str | None:
    """The name of the issuer for lines that name none."""
    named = [name for name, issuer in desired.issuers.items() if issuer.default]
    named += [issuer.name for issuer in current.issuers if issuer.is_default and issuer.name not in desired.issuers]
    return named[0] if named else None


def _of_the_line(change: Change) -> str | None:
    if change.kind != "line" or change.action == "delete":
        return None
    if change.action == "create":
        return "the first certificate"
    causes = [_WORDS.get(one.field, one.field) for one in change.fields if _makes_another(one)]
    return f"the {' and '.join(causes).replace('_', ' ')} changed" if causes else None


_WORDS = {"csr": "request", "must_staple": "Must-Staple"}


def _makes_another(change: FieldChange) -> bool:
    return change.field in _CAUSES and (change.field not in _LEFT_ALONE or change.after is not None)


def _of_the_issuer(changes: Collection[Change], current: Current, desired: DesiredFleet) -> Iterator[tuple[str, str]]:
    """Lines that are as they were, but not where they are issued, or not in what manner."""
    former, default = default_issuer(current, DesiredFleet()), default_issuer(current, desired)
    held = {line.name for line in current.lines}
    for name, line in desired.lines.items():
        if name not in held:
            continue
        if line.issuer is None and former not in (None, default):
            yield name, "the issuer changed"
        elif reason := _issuer_changed(changes, line, line.issuer or default):
            yield name, reason


def _issuer_changed(changes: Collection[Change], line: DesiredLine, issuer: str | None) -> str | None:
    for change in changes:
        if (change.kind, change.action, change.name) == ("issuer", "update", issuer):
            fields = {one.field for one in change.fields if one.after is not None}
            if "directory" in fields:
                return "the issuer changed"
            if "profile" in fields and line.profile is None:
                return "the profile changed"
    return None
