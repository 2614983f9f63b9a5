"""What deleting or withdrawing does beyond the master: said before it is done, since hosts keep their files. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from certline_master.domain.fleet_changes import Change, FieldChange
from certline_shared.names import display


def consequences(changes: Iterable[Change]) -> tuple[str, ...]:
    """One sentence each, in the order of the changes."""
    return tuple(sentence for change in changes for sentence in _of(change))


def _of(change: Change) -> Iterator[str]:
    match change.kind, change.action:
        case "line", "delete":
            yield (
                f"line {change.name}: an order that runs is stopped and nothing is renewed any more; its certificates"
                " are not revoked, and what hosts have installed stays in use there"
            )
        case "follower", "delete":
            yield f"follower {change.name}: refused from now on; what is installed on that host stays in use there"
        case "key", "delete":
            yield (
                f"key {change.name}: it is for no new certificate any more; hosts keep what they have of it:"
                f" `key where {change.name}` lists that"
            )
        case "group", "delete":
            yield f"group {change.name}: its followers lose the grants they had through it; what is installed stays"
        case (("follower" | "group"), "update"):
            yield from _withdrawn(change)


def _withdrawn(change: Change) -> Iterator[str]:
    for field in change.fields:
        if field.field == "grants":
            names, lines = _lost(field, "request"), _lost(field, "pull")
            if names:
                listed = ", ".join(map(display, names))
                yield f"{change.kind} {change.name}: no more certificates for {listed}; what is installed stays in use"
            if lines:
                yield (
                    f"{change.kind} {change.name}: gets nothing more of {', '.join(lines)}; it keeps the keys that it"
                    " has: `key where` lists them, `follower revoke --stolen` makes new ones"
                )


def _lost(field: FieldChange, kind: str) -> list[str]:
    before, after = (_of_kind(value, kind) for value in (field.before, field.after))
    return sorted(before - after)


def _of_kind(grants: Mapping[str, Any] | None, kind: str) -> set[str]:
    return set((grants or {}).get(kind, ()))
