"""What a line says beside its names and its host: how it is kept and shown, and what is wrong with it. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from certline_master.domain.durations import seconds_of
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import DesiredLine
from certline_master.domain.model import Custody, LineOptions
from certline_master.domain.naming import MOST_IN_COMMON_NAME
from certline_master.domain.pointers import pointer
from certline_master.domain.renewal import policy_of
from certline_shared.keys import BadRequest, CsrFacts, csr_from_pem, read_csr
from certline_shared.names import BadName, normalise

PURPOSES = ("server", "client")

_NOT_SHOWN = ("requests", "inherited", "rehearsed_until")
_SHOWN = tuple(item.name for item in fields(LineOptions) if item.name not in _NOT_SHOWN)


def given_requests(line: DesiredLine) -> list[tuple[CsrFacts, bytes]]:
    """The requests that the operator gave, in DER. Raises BadRequest."""
    found = [csr_from_pem(text) for text in line.csr]
    return [(read_csr(der), der) for der in found]


def stored_options(line: DesiredLine) -> LineOptions:
    """A wish without faults, as it is kept."""
    digests = {str(facts.key_type): hashlib.sha256(der).hexdigest() for facts, der in given_requests(line)}
    return replace(line.options, requests=digests)


def option_facts(options: LineOptions) -> dict[str, Any]:
    """Member -> plain JSON value, in the fleet file's words."""
    shown = {name: _plain(getattr(options, name)) for name in _SHOWN}
    return {**shown, "csr": dict(options.requests), "inherited": dict(options.inherited)}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def option_faults(name: str, line: DesiredLine) -> Iterator[Fault]:
    """For a line whose names have no fault."""
    place = ("lines", name, "options")
    options = line.options
    for member, text in _lengths(options):
        yield Fault(pointer(*place, member), text)
    yield from (Fault(pointer(*place, "common_name"), text) for text in _common_name(line))
    if options.rehearsed_until is not None:
        yield Fault(pointer(*place, "rehearsed_until"), "is set by the master alone: leave it out")
    for unknown in sorted(set(options.purposes) - set(PURPOSES)):
        text = f"there is no purpose {unknown!r}: use {' or '.join(PURPOSES)}"
        yield Fault(pointer(*place, "purposes"), text)
    yield from _requests(name, line)


def _lengths(options: LineOptions) -> Iterator[tuple[str, str]]:
    checks: Mapping[str, Any] = {
        "renew_before": lambda: policy_of(LineOptions(renew_before=options.renew_before)),
        "renew_after": lambda: policy_of(LineOptions(renew_after=options.renew_after)),
        "stage_for": lambda: seconds_of(options.stage_for) if options.stage_for is not None else None,
    }
    for member, check in checks.items():
        try:
            check()
        except ValueError as fault:
            yield member, str(fault)


def _common_name(line: DesiredLine) -> Iterator[str]:
    wanted = line.options.common_name
    if wanted is None:
        return
    try:
        normal, names = normalise(wanted), [normalise(name) for name in line.names]
    except BadName as fault:
        yield str(fault)
        return
    if normal not in names:
        yield f"{wanted} is not among the names: add it to `names`, or take one of them"
    elif len(normal) > MOST_IN_COMMON_NAME:
        yield f"has {len(normal)} characters: at most {MOST_IN_COMMON_NAME} fit a common name (RFC 5280), take another"


def _requests(name: str, line: DesiredLine) -> Iterator[Fault]:
    """Each for another key type, and for just what the line says."""
    if not line.csr:
        return
    if line.custody is Custody.MASTER:
        text = "a request is given where the host has the key: write `custody: follower`, or leave the request out"
        yield Fault(pointer("lines", name, "csr"), text)
        return
    seen: set[str] = set()
    for index, text in enumerate(line.csr):
        try:
            facts = read_csr(csr_from_pem(text))
        except BadRequest as fault:
            yield Fault(pointer("lines", name, "csr", index), str(fault))
            continue
        for said in _unlike(facts, line, seen):
            yield Fault(pointer("lines", name, "csr", index), said)
        seen.add(facts.key_type)


def _unlike(facts: CsrFacts, line: DesiredLine, seen: set[str]) -> Iterator[str]:
    names = {normalise(one) for one in line.names}
    if set(facts.names) != names:
        yield f"the request is for {', '.join(facts.names)}, the line for {', '.join(sorted(names))}: leave `names` out"
    if facts.key_type in seen:
        yield f"a second request for an {facts.key_type} key: give one for each key type"
    if facts.key_type not in line.key_types:
        yield f"the request is for an {facts.key_type} key: list it under `key_types`, or leave `key_types` out"
    wanted = line.options.common_name
    if wanted is not None and facts.common_name != normalise(wanted):
        yield f"the request has the common name {facts.common_name}, the line {wanted}: leave `common_name` out"
    if facts.must_staple != line.options.must_staple:
        yield "the request and the line do not agree on Must-Staple: set `must_staple` as the request has it"
