"""What a host sent as its wish, read strictly: names in normal form, each request checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from certline_master.domain.errors import Fault, Invalid
from certline_master.domain.model import Asks, LineCsr, Slot
from certline_shared.keys import BadRequest, KeyType, read_csr
from certline_shared.messages import LineWish, decode
from certline_shared.names import BadName, normalise, normalise_all

MEMBERS = {Slot.CURRENT: "csrs", Slot.NEXT: "next_csrs"}
"""Where requests for the keys of a slot stand in the message."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish that is well-formed: names in normal form, requests checked."""

    names: tuple[str, ...] | None
    csrs: Mapping[KeyType, LineCsr]
    seq: int | None = None
    next_csrs: Mapping[KeyType, LineCsr] = field(default_factory=dict)
    is_test: bool = False  # for a rehearsal


def read_wish(body: bytes) -> Wish:
    """Raises BadMessage, and Invalid naming each member that cannot be used."""
    message = decode(LineWish, body)
    faults: list[Fault] = []
    names = None if message.names is None else _names(message.names, faults)
    csrs, following = _csrs(message.csrs, Slot.CURRENT, faults), _csrs(message.next_csrs, Slot.NEXT, faults)
    same = {csr.spki_sha256 for csr in csrs.values()} & {csr.spki_sha256 for csr in following.values()}
    faults += [Fault("/next_csrs", "a next key is another one than the current: make a new one") for _ in same]
    if faults:
        raise Invalid(*faults)
    return Wish(names, csrs, message.seq, following, message.test)


def _names(texts: "tuple[str, ...]", faults: list[Fault]) -> "tuple[str, ...]":
    bad = [Fault(f"/names/{index}", why) for index, text in enumerate(texts) if (why := _why_not(text))]
    faults += bad
    try:
        return () if bad else normalise_all(texts)
    except BadName as error:
        faults.append(Fault("/names", str(error)))
        return ()


def _why_not(text: str) -> str | None:
    try:
        normalise(text)
    except BadName as error:
        return str(error)
    return None


def _csrs(sent: Mapping[str, bytes], slot: Slot, faults: list[Fault]) -> dict[KeyType, LineCsr]:
    return {csr.key_type: csr for kind, der in sent.items() for csr in _csr(kind, der, slot, faults)}


def _csr(kind: str, der: bytes, slot: Slot, faults: list[Fault]) -> "tuple[LineCsr, ...]":
    """The request, checked; none when it has a fault."""
    field = f"/{MEMBERS[slot]}/{kind}"
    if kind not in set(KeyType):
        faults.append(Fault(field, f"there is no such key type: use one of {', '.join(KeyType)}"))
        return ()
    try:
        facts = read_csr(der)
    except BadRequest as error:
        faults.append(Fault(field, str(error)))
        return ()
    if facts.key_type != kind:
        faults.append(Fault(field, f"the request holds a key of the type {facts.key_type}"))
        return ()
    asks = Asks(facts.common_name, facts.must_staple)
    return (LineCsr(facts.key_type, der, facts.spki_sha256, facts.names, asks, slot),)
