"""What a host wants of a line: granted or refused name by name, written down with its events."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil

from certline_master.api.problems import Refused
from certline_master.api.sequences import Count
from certline_master.api.services import Services
from certline_master.api.wish_reading import MEMBERS, Wish
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, Fault, Invalid, NotFound, NotGranted
from certline_master.domain.fleet_faults import why_unproven
from certline_master.domain.model import Certificate, Custody, FailureClass, Follower, Line, LineCsr, Owner, Slot
from certline_master.domain.placement import granted_names, live_version, own_line_name, wanted_requests
from certline_master.domain.ports import Records
from certline_shared.keys import KeyType
from certline_shared.messages import LineAnswer
from certline_shared.names import display

MOST_OWN_LINES = 100
MOST_ORDERS_A_DAY = 200  # of one follower: a CA's limits are for all of them together
DAY = timedelta(days=1)


def record(services: Services, caller: Caller, local: str, wish: Wish, count: Count) -> LineAnswer:
    """Write the wish down. Raises Invalid, Conflict, NotGranted and Refused; what is refused is on record then."""
    unproven = _unproven(services, caller, wish)
    recorded = services.store.write(
        lambda records: count(records) or _Recording(services, caller, records, local, wish, unproven).run()
    )
    if isinstance(recorded, Exception):
        raise recorded
    services.bell.ring("work")
    return recorded


def _unproven(services: Services, caller: Caller, wish: Wish) -> Mapping[str, str]:
    """The names that nothing here can prove, each with the reason. Only granted names are worth a look into DNS.

    A look-up that fails for now is no reason to refuse: the order will tell.
    """
    with services.store.read() as records:
        granted = granted_names(records.followers.by_id(caller, caller.follower_id or ""))
        http, zones = records.http.all(SYSTEM), records.zones.all(SYSTEM)
    if not granted.issuperset(wish.names or ()):
        return {}
    reasons = {name: why_unproven(name, http, zones, services.dns.follow) for name in wish.names or ()}
    lasting = FailureClass.FIX_CONFIGURATION
    return {name: str(error) for name, error in reasons.items() if error and error.failure is lasting}


def find_line(records: Records, caller: Caller, local: str) -> Line:
    """The line that a follower calls by this name: the operator's or a shared one, else its own. Raises NotFound."""
    for name in (local, own_line_name(local, caller.name)):
        try:
            line = records.lines.get(caller, name)
        except NotFound:
            continue
        if line.follower_id in (caller.follower_id, None):
            return line
    raise NotFound("line", local)


def line_called(local: str, caller: Caller, lines: Mapping[str, Line]) -> Line | None:
    """The same among all lines that this follower sees, by their full names."""
    called = (lines.get(name) for name in (local, own_line_name(local, caller.name)))
    return next((line for line in called if line and line.follower_id in (caller.follower_id, None)), None)


def put_off(services: Services, records: Records, caller: Caller, line: Line) -> Refused | None:
    """Where this follower caused as many orders in a day as it may: until when it is put off, which is on record."""
    since, follower = services.clock.now() - DAY, f"follower:{caller.name}"
    caused = records.versions.ordered_since(caller, caller.follower_id or "", since)
    if line.follower_id is None:
        here = records.versions.all(SYSTEM, line.id)
        caused = sorted([*caused, *(version.created for version in here if version.created > since)])
    if len(caused) < MOST_ORDERS_A_DAY:
        return None
    text = f"{MOST_ORDERS_A_DAY} orders in a day are the most that one follower may cause"
    last = records.events.all(SYSTEM, subject=follower, limit=1)
    if not (last and last[0].kind == "wish.put_off"):
        said, data = f"{caller.name} asks for line {line.name}, but {text}", {"line": line.name}
        records.events.add(caller, "wish.put_off", follower, said, now=services.clock.now(), data=data)
    seconds = (caused[-MOST_ORDERS_A_DAY] + DAY - services.clock.now()).total_seconds()
    return Refused("too-many-requests", text, headers={"Retry-After": str(max(1, ceil(seconds)))})


@dataclass(frozen=True, slots=True)
class _Recording:
    """One wish on its way into the store, inside a transaction."""

    services: Services
    caller: Caller
    records: Records
    local: str
    wish: Wish
    unproven: Mapping[str, str]

    def run(self) -> LineAnswer | NotGranted | Invalid | Refused:
        follower = self.records.followers.by_id(self.caller, self.caller.follower_id or "")
        former = self._former()
        if former is not None and former.owner is not Owner.FOLLOWER:
            line = self._of_the_operator(former)
        else:
            line = self._of_its_own(former, follower)
            missing = tuple(name for name in line.names if name not in granted_names(follower))
            if missing:
                return self._refuse_ungranted(line, missing)
        if self.unproven:
            return self._refuse_unproven(line)
        self._check_csrs(line)
        fresh, changed = self._fresh_csrs(former), _differs(former, line)
        orders = changed or any(csr.slot is Slot.CURRENT for csr in fresh)
        if orders and (refusal := put_off(self.services, self.records, self.caller, line)):
            return refusal
        self._write(line, fresh, changed=changed)
        return self._answer(line)

    def _former(self) -> Line | None:
        try:
            return find_line(self.records, self.caller, self.local)
        except NotFound:
            return None

    def _of_the_operator(self, line: Line) -> Line:
        if self.wish.names is not None and set(self.wish.names) != set(line.names):
            text = f"the operator set the names of {line.name} to {', '.join(line.names)}: leave them out"
            raise Invalid(Fault("/names", text))
        if line.custody is Custody.MASTER and (self.wish.csrs or self.wish.next_csrs):
            raise Conflict(f"the master keeps the key of {line.name}: send no request for it")
        if line.options.requests and (self.wish.csrs or self.wish.next_csrs):
            raise Conflict(f"the operator gave the request of {line.name}: send none, and name its key file here")
        return line

    def _of_its_own(self, former: Line | None, follower: Follower) -> Line:
        names = self.wish.names or (former.names if former else ())
        if not names:
            raise Invalid(
                Fault("/names", f"the operator has no line {self.local} for this follower: name what it is for")
            )
        key_types = tuple(self.wish.csrs) or (former.key_types if former else (KeyType.ECDSA_P256,))
        if former:
            return replace(former, names=names, key_types=key_types)
        self._check_room()
        name = own_line_name(self.local, follower.name)
        return Line(self.services.chance.uuid(), name, Owner.FOLLOWER, follower.id, names, key_types)

    def _check_room(self) -> None:
        own = [line for line in self.records.lines.all(self.caller) if line.owner is Owner.FOLLOWER]
        if len(own) >= MOST_OWN_LINES:
            raise Conflict(f"this follower has {len(own)} lines of its own already, the most it may have")

    def _check_csrs(self, line: Line) -> None:
        for csr in (*self.wish.csrs.values(), *self.wish.next_csrs.values()):
            field = f"/{MEMBERS[csr.slot]}/{csr.key_type}"
            if csr.key_type not in line.key_types:
                raise Invalid(Fault(field, f"line {line.name} has the key type {', '.join(line.key_types)}"))
            if csr.asks.must_staple and not line.options.must_staple:
                raise Invalid(Fault(field, f"the request has Must-Staple, which line {line.name} is not to have"))
            if self.records.keys.is_kept(SYSTEM, csr.spki_sha256):
                raise Invalid(Fault(field, "the request is for a key that the master made: make a new one here"))
            if set(csr.names) != set(line.names):
                text = (
                    f"the request is for {', '.join(csr.names)}, the line for {', '.join(line.names)}: make a new one"
                )
                raise Invalid(Fault(field, text))

    def _fresh_csrs(self, former: Line | None) -> list[LineCsr]:
        at = former.id if former else ""
        held = [csr for slot in (Slot.CURRENT, Slot.NEXT) for csr in self.records.lines.csrs(self.caller, at, slot)]
        known = {(csr.slot, csr.spki_sha256, csr.names, csr.asks) for csr in held}
        sent = _in_our_slots(self.wish, {one.key_type: one.spki_sha256 for one in held if one.slot is Slot.CURRENT})
        return [csr for csr in sent if (csr.slot, csr.spki_sha256, csr.names, csr.asks) not in known]

    def _write(self, line: Line, fresh: "list[LineCsr]", *, changed: bool) -> None:
        """Only what is new; the planner looks at once then."""
        now = self.services.clock.now()
        if changed:
            self.records.lines.save(self.caller, replace(line, next_look=now, paused=None))
            self._note(
                "line.wished", line, f"{self.caller.name} asks for {', '.join(line.names)}", {"names": line.names}
            )
        for csr in fresh:
            self.records.lines.put_csr(self.caller, line.id, replace(csr, created=now))
            data = {"key_type": csr.key_type, "spki_sha256": csr.spki_sha256, "slot": csr.slot}
            which = "next " if csr.slot is Slot.NEXT else ""
            self._note("line.csr", line, f"{self.caller.name} sent a request for its {which}{csr.key_type} key", data)
        if fresh and not changed:
            self.records.lines.set_next_look(self.caller, line.id, now)
        if any(csr.slot is Slot.CURRENT for csr in fresh) and not changed:
            self.records.lines.resume(self.caller, line.id, now=now)

    def _refuse_ungranted(self, line: Line, missing: "tuple[str, ...]") -> NotGranted:
        self._note_refusal(line, missing, f"names without a grant: {', '.join(map(display, missing))}")
        return NotGranted(self.caller.name, missing)

    def _refuse_unproven(self, line: Line) -> Invalid:
        reasons = tuple(self.unproven.values())
        self._note_refusal(line, tuple(self.unproven), f"names that nothing here proves: {'; '.join(reasons)}")
        return Invalid(*(Fault("/names", text) for text in reasons))

    def _note_refusal(self, line: Line, names: "tuple[str, ...]", what: str) -> None:
        """On record once per set of names and cause: a host asks again at every turn."""
        last = self.records.events.all(SYSTEM, subject=f"line:{line.name}", limit=1)
        text = f"{self.caller.name} asks for {what}"
        if not (last and (last[0].kind, last[0].text) == ("wish.refused", text)):
            self._note("wish.refused", line, text, {"names": list(names)})

    def _answer(self, line: Line) -> LineAnswer:
        snapshot = self.records.lines.snapshot(self.caller, line.id)
        live = live_version(snapshot)
        wished = {_wish_of(csr) for csr in snapshot.csrs if csr.key_type in line.key_types}
        if wanted_requests(line, snapshot.csrs):
            state = "csr_wanted"
        elif live and {_wish_of(held) for held in live.certificates} == wished:
            state = "live"
        else:
            state = "waiting"
        return LineAnswer(line.name, state, line.names)

    def _note(self, kind: str, line: Line, text: str, data: Mapping[str, object]) -> None:
        now = self.services.clock.now()
        self.records.events.add(self.caller, kind, f"line:{line.name}", text, now=now, data=data)
        self.services.limits.noted(self.caller.follower_id)


def _differs(former: Line | None, line: Line) -> bool:
    return former is None or (set(former.names), former.key_types) != (set(line.names), line.key_types)


def _wish_of(thing: LineCsr | Certificate) -> "tuple[KeyType, str, frozenset[str]]":
    return thing.key_type, thing.spki_sha256, frozenset(thing.names)


def _in_our_slots(wish: Wish, current: Mapping[KeyType, str]) -> list[LineCsr]:
    """A host that has not installed the version for its next key calls current what is previous here."""
    late = {kind for kind, csr in wish.next_csrs.items() if csr.spki_sha256 == current.get(kind)}
    risen = [replace(wish.next_csrs[kind], slot=Slot.CURRENT) for kind in late]
    return [csr for csr in (*wish.csrs.values(), *wish.next_csrs.values()) if csr.key_type not in late] + risen
