"""Changes of the fleet written down: each object saved or deleted, with its event, in the caller's transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from certline_master.api import custody_moves, stopping
from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import Key
from certline_master.domain.fleet import Current, DesiredFleet, DesiredGrants, DesiredLine, Kind, Scope
from certline_master.domain.fleet_changes import Change, stored_key, stored_rollout
from certline_master.domain.key_moves import retire
from certline_master.domain.line_options import given_requests, stored_options
from certline_master.domain.model import (
    ZONE_SECRET,
    Asks,
    FailureClass,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Group,
    HttpName,
    Issuer,
    KeyOptions,
    Line,
    LineCsr,
    Zone,
)
from certline_master.domain.ports import Records

SNAPSHOTS_AT_ONCE = 500

_DONE = {"create": "created", "update": "changed", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class Writing:
    """One set of changes on its way into the store."""

    services: Services
    caller: Caller
    records: Records
    current: Current
    wanted: DesiredFleet
    scope: Scope

    def write(self, changes: Sequence[Change], offered: "Mapping[str, tuple[str, ...]]") -> frozenset[str]:
        """Carry them out; the bell's topics to ring. `offered`: profiles of directories looked at, by issuer."""
        topics = {"work"}
        for change in changes:
            topics |= {f"follower:{follower_id}" for follower_id in self._followers_of(change)}
            self._carry_out(change)
            topics |= {f"follower:{follower_id}" for follower_id in self._followers_of(change)}
            self._note(change)
        self._wake(changes)
        for name, profiles in offered.items():
            self.records.issuers.set_profiles(SYSTEM, self.records.issuers.get(SYSTEM, name).id, profiles)
        return frozenset(topics)

    def _carry_out(self, change: Change) -> None:
        records = self.records
        ways: dict[Kind, tuple[Callable[[str], None], Callable[[str], None]]] = {
            "issuer": (self._save_issuer, partial(records.issuers.delete, self.caller)),
            "zone": (self._save_zone, self._delete_zone),
            "http": (self._save_http, partial(records.http.delete, self.caller)),
            "group": (self._save_group, partial(records.groups.delete, self.caller)),
            "key": (self._save_key, self._delete_key),
            "follower": (self._save_follower, partial(records.followers.delete, self.caller)),
            "line": (self._save_line, partial(records.lines.delete, self.caller)),
        }
        save, delete = ways[change.kind]
        (delete if change.action == "delete" else save)(change.name)

    def _save_issuer(self, name: str) -> None:
        wanted = self.wanted.issuers[name]
        former = next((one for one in self.current.issuers if one.name == name), None)
        issuer = former or Issuer(self.services.chance.uuid(), name, self.scope.owner, wanted.directory)
        self.records.issuers.save(
            self.caller,
            replace(
                issuer,
                directory_url=wanted.directory,
                contact=wanted.contact,
                profile=wanted.profile,
                preferred_chain=wanted.preferred_chain,
                ca_certificates=wanted.ca_certificates,
                is_default=wanted.default,
                test_of=wanted.test_of,
            ),
        )

    def _save_zone(self, name: str) -> None:
        wanted = self.wanted.zones[name]
        former = next((one for one in self.current.zones if one.name == name), None)
        zone = former or Zone(self.services.chance.uuid(), name, self.scope.owner, wanted.solver)
        secret = zone.secret
        if wanted.secret is not None:
            secret = (
                self.records.secrets.add(self.caller, ZONE_SECRET, wanted.secret.encode()) if wanted.secret else None
            )
        self.records.zones.save(
            self.caller, replace(zone, solver=wanted.solver, settings=wanted.settings, secret=secret)
        )
        if zone.secret and zone.secret != secret:
            self.records.secrets.delete(self.caller, zone.secret)

    def _delete_zone(self, name: str) -> None:
        zone = self.records.zones.get(self.caller, name)
        self.records.zones.delete(self.caller, name)
        if zone.secret:
            self.records.secrets.delete(self.caller, zone.secret)

    def _save_http(self, name: str) -> None:
        wanted = self.wanted.http[name]
        former = next((one for one in self.current.http if one.name == name), None)
        http = former or HttpName(self.services.chance.uuid(), name, self.scope.owner)
        self.records.http.save(self.caller, replace(http, solver=wanted.solver))

    def _save_group(self, name: str) -> None:
        granted = _grants(self.wanted.groups[name].grants)
        former = next((one for one in self.current.groups if one.name == name), None)
        group = former or Group(self.services.chance.uuid(), name, self.scope.owner)
        members = self._members(name)
        self.records.groups.save(self.caller, replace(group, grants=granted))
        for member in members:
            saved = self.records.followers.by_id(SYSTEM, member.id)
            stopping.of_withdrawn_grants(self.services, self.records, self.caller, member, saved)

    def _save_key(self, name: str) -> None:
        """One of that name may be left from a former line: none of its keys is for new certificates."""
        former = next((one for one in self.records.keys.all(SYSTEM) if one.name == name), None)
        key = former or Key(self.services.chance.uuid(), name, self.scope.owner)
        if former is not None and not former.declared:
            retire(self.records, self.caller, former.id)
        options = stored_key(self.wanted.keys[name])
        self.records.keys.save(self.caller, replace(key, owner=self.scope.owner, options=options, declared=True))
        for line in self.records.lines.of_key(SYSTEM, key.id):
            self.records.lines.set_next_look(SYSTEM, line.id, self.services.clock.now())

    def _delete_key(self, name: str) -> None:
        """What hosts have of it stays known."""
        key = self.records.keys.get(self.caller, name)
        retire(self.records, self.caller, key.id)
        self.records.keys.save(self.caller, replace(key, declared=False, options=KeyOptions()))

    def _key_id(self, line: Line, wanted: DesiredLine) -> str | None:
        """Of the key that it names; its own one where it names none."""
        if wanted.key is not None:
            return self.records.keys.get(self.caller, wanted.key).id
        named = self.records.keys.by_ids(SYSTEM, [line.key_id] if line.key_id else [])
        return None if any(key.name != line.name for key in named) else line.key_id

    def _members(self, group: str) -> list[Follower]:
        return [one for one in self.records.followers.all(SYSTEM) if group in one.groups]

    def _save_follower(self, name: str) -> None:
        wanted = self.wanted.followers[name]
        former = next((one for one in self.current.followers if one.name == name), None)
        follower = former or Follower(
            self.services.chance.uuid(),
            name,
            self.scope.owner,
            FollowerState.INVITED,
            created=self.services.clock.now(),
        )
        changed = replace(
            follower,
            grants=_grants(wanted.grants),
            groups=wanted.groups,
            networks=wanted.networks,
            lock_clones=wanted.lock_clones,
        )
        self.records.followers.save(self.caller, changed)
        if former is not None:
            saved = self.records.followers.by_id(SYSTEM, former.id)
            stopping.of_withdrawn_grants(self.services, self.records, self.caller, former, saved)

    def _save_line(self, name: str) -> None:
        wanted = self.wanted.lines[name]
        follower_id = self.records.followers.get(self.caller, wanted.follower).id if wanted.follower else None
        named = (one for one in self.current.lines if one.name == name)
        former = next((one for one in named if _stays(one, wanted, follower_id)), None)
        line = former or Line(self.services.chance.uuid(), name, self.scope.owner, follower_id, wanted.names)
        self.records.lines.save(
            self.caller,
            replace(
                line,
                follower_id=follower_id,
                custody=wanted.custody,
                names=wanted.names,
                key_types=wanted.key_types,
                issuer_id=self.records.issuers.get(self.caller, wanted.issuer).id if wanted.issuer else None,
                profile=wanted.profile,
                rollout=stored_rollout(wanted.rollout) if wanted.rollout else None,
                options=stored_options(wanted),
                key_id=self._key_id(line, wanted),
                next_look=self.services.clock.now(),
            ),
        )
        if former is not None and former.custody is not wanted.custody:
            custody_moves.move(self.records, self.caller, former, now=self.services.clock.now())
        self._keep_requests(line.id, wanted)

    def _keep_requests(self, line_id: str, wanted: DesiredLine) -> None:
        """What the operator gives stands in the place of what the host would send."""
        for facts, der in given_requests(wanted):
            asks = Asks(facts.common_name, facts.must_staple)
            csr = LineCsr(facts.key_type, der, facts.spki_sha256, facts.names, asks=asks)
            self.records.lines.put_csr(self.caller, line_id, csr)

    def _followers_of(self, change: Change) -> set[str]:
        """Whose manifest this change touches."""
        names = {change.name} if change.kind == "follower" else set()
        if change.kind == "group":
            names |= {follower.name for follower in self._members(change.name)}
        lines = [one for one in self.current.lines if change.kind == "line" and one.name == change.name]
        if change.kind == "line" and change.action != "delete":
            wanted = self.wanted.lines[change.name]
            names.add(wanted.follower or "")
            lines += [] if wanted.follower else [Line("", change.name, self.scope.owner, None, wanted.names)]
        held = {holder for line in lines for holder in self.records.keys.holders(SYSTEM, line)}
        return held | {one.id for one in self.records.followers.all(SYSTEM) if one.name in names}

    def _wake(self, changes: Iterable[Change]) -> None:
        """Lines that may have waited for an issuer, a grant or a mended configuration are looked at again."""
        if any(change.kind in ("issuer", "zone", "http") for change in changes):
            self._give_new_chances()
        issuers = {change.name for change in changes if change.kind == "issuer"}
        followers = {change.name for change in changes if change.kind == "follower" and change.action == "update"}
        groups = {change.name for change in changes if change.kind == "group"}
        followers |= {one.name for one in self.current.followers if groups & set(one.groups)}
        if not (issuers or followers):
            return
        theirs = {one.id for one in self.current.issuers if one.name in issuers} | {None} if issuers else set()
        granted = {one.id for one in self.current.followers if one.name in followers}
        for line in self.records.lines.all(SYSTEM, limit=1_000_000):
            if line.issuer_id in theirs or line.follower_id in granted:
                self.records.lines.set_next_look(SYSTEM, line.id, self.services.clock.now())

    def _give_new_chances(self) -> None:
        """What failed for the configuration's sake is tried when that changes, not after the planner's pause."""
        now = self.services.clock.now()
        lines = [line.id for line in self.records.lines.all(SYSTEM, limit=1_000_000)]
        for start in range(0, len(lines), SNAPSHOTS_AT_ONCE):
            for snapshot in self.records.lines.snapshots(SYSTEM, lines[start : start + SNAPSHOTS_AT_ONCE]):
                newest = snapshot.versions[0] if snapshot.versions else None
                if newest and newest.failure and newest.failure.failure is FailureClass.FIX_CONFIGURATION:
                    self.records.lines.save(SYSTEM, replace(snapshot.line, forced=True, next_look=now))

    def _note(self, change: Change) -> None:
        done = _DONE[change.action]
        fields = ", ".join(one.field for one in change.fields)
        text = f"{change.kind} {change.name} was {done}" + (f" ({fields})" if change.action == "update" else "")
        data = {"fields": [asdict(one) for one in change.fields]}
        kind, subject = f"{change.kind}.{done}", f"{change.kind}:{change.name}"
        self.records.events.add(self.caller, kind, subject, text, now=self.services.clock.now(), data=data)


def _stays(line: Line, wanted: DesiredLine, follower_id: str | None) -> bool:
    """A line that moves from host to host is another one; between host and master it is the same."""
    return line.follower_id == follower_id or line.custody is not wanted.custody


def _grants(wanted: DesiredGrants) -> tuple[Grant, ...]:
    requests = tuple(Grant(GrantKind.REQUEST, name) for name in wanted.request)
    return requests + tuple(Grant(GrantKind.PULL, line) for line in wanted.pull)
