"""Plan and apply: a desired fleet is checked against the world outside, then written in one transaction."""

import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from certline_master.api.fleet_writing import Writing
from certline_master.api.lifetimes import live_lifetimes
from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.commands import command_faults
from certline_master.domain.consequences import consequences
from certline_master.domain.errors import CaError, CaOffLimits, CaUnreachable, Conflict, Fault, Invalid
from certline_master.domain.fleet import Current, DesiredFleet, DesiredIssuer, DesiredZone, Scope, normal
from certline_master.domain.fleet_changes import Change, difference, guard
from certline_master.domain.fleet_faults import faults, unknown_profiles, unproven
from certline_master.domain.fleet_warnings import FleetWarning, Wished
from certline_master.domain.model import ZONE_SECRET, HttpName, Issuer, Owner, Zone
from certline_master.domain.orders_caused import OrderCaused, orders_caused
from certline_master.domain.pointers import pointer
from certline_master.domain.ports import Directory, Records
from certline_shared import codec


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What would be done. `guard`: why it is refused unless forced. `terms`: what the first orders agree to."""

    changes: tuple[Change, ...]
    orders: tuple[OrderCaused, ...]
    hash: str
    terms: tuple[str, ...]
    guard: str | None
    consequences: tuple[str, ...] = ()  # of what is deleted or withdrawn, on hosts
    warnings: tuple[FleetWarning, ...] = ()  # what will hardly be meant, and stops nothing


@dataclass(frozen=True, slots=True)
class FleetWork:
    """Plans and applies for one caller. What it asks outside is asked before any transaction."""

    services: Services
    caller: Caller

    def plan(self, desired: DesiredFleet, scope: Scope) -> FleetPlan:
        """Raises Invalid with every fault, its place counted from the desired fleet's root."""
        with self.services.store.read() as records:
            current = self._current(records)
        directories = self._check(desired, current, scope)
        with self.services.store.read() as records:
            return self._planned(self._wished(records, desired, current, scope, directories), directories)

    def apply(self, desired: DesiredFleet, scope: Scope, *, shown: str | None, force: bool) -> FleetPlan:
        """Do what was shown (`shown`: that plan's hash; None: nothing was). Raises Invalid, and Conflict when the plan
        is another by now or deletes too much.
        """
        with self.services.store.read() as records:
            directories = self._check(desired, self._current(records), scope)
        wanted = normal(desired)

        def work(records: Records) -> tuple[FleetPlan, frozenset[str]]:
            current = self._current(records)
            found = faults(desired, current, scope, self.services.solvers)
            if found:
                raise Invalid(*found)
            wished = self._wished(records, desired, current, scope, directories)
            plan = self._planned(wished, directories)
            if shown is not None and not hmac.compare_digest(plan.hash.encode(), shown.encode()):
                raise Conflict("the fleet or the plan changed since it was shown: plan again")
            if plan.guard and not force:
                raise Conflict(plan.guard)
            offered = {name: directory.profiles for name, directory in directories.items()}
            return plan, Writing(self.services, self.caller, records, current, wanted, scope).write(
                plan.changes, offered
            )

        plan, topics = self.services.store.write(work)
        for topic in sorted(topics):
            self.services.bell.ring(topic)
        return plan

    def _current(self, records: Records) -> Current:
        zones = records.zones.all(SYSTEM)
        secrets = {zone.name: records.secrets.read(SYSTEM, ZONE_SECRET, zone.secret) for zone in zones if zone.secret}
        return Current(
            issuers=tuple(records.issuers.all(SYSTEM)),
            zones=tuple(zones),
            http=tuple(records.http.all(SYSTEM)),
            lines=tuple(records.lines.all(SYSTEM, limit=1_000_000)),
            followers=tuple(records.followers.all(SYSTEM)),
            groups=tuple(records.groups.all(SYSTEM)),
            keys=tuple(key for key in records.keys.all(SYSTEM) if key.declared),
            secrets={name: self._digest(secret.decode()) for name, secret in secrets.items()},
        )

    def _digest(self, secret: str) -> str:
        """Tells secrets apart without showing anything that could be searched for."""
        return hmac.digest(self.services.identity.private, b"certline-fleet/1\n" + secret.encode(), "sha256").hex()

    def _wished(
        self,
        records: Records,
        desired: DesiredFleet,
        current: Current,
        scope: Scope,
        directories: Mapping[str, Directory],
    ) -> Wished:
        wanted = normal(desired)
        offered = {name: directory.profiles for name, directory in directories.items()}
        now, lifetimes = self.services.clock.now(), live_lifetimes(records, wanted, current)
        return Wished(wanted, current, scope, now, offered, lifetimes)

    def _planned(self, wished: Wished, directories: Mapping[str, Directory]) -> FleetPlan:
        wanted, current, scope = wished.desired, wished.current, wished.scope
        changes = difference(current, wanted, scope, self._digest)
        with_account = {issuer.name for issuer in current.issuers if issuer.account_url}
        terms = {one.terms_of_service for name, one in directories.items() if name not in with_account}
        return FleetPlan(
            changes=changes,
            orders=orders_caused(changes, current, wanted),
            hash=self._digest(codec.canonical([asdict(change) for change in changes]).decode()),
            terms=tuple(sorted(url for url in terms if url)),
            guard=guard(changes, current, scope),
            consequences=consequences(changes),
            warnings=wished.warnings(),
        )

    def _check(self, desired: DesiredFleet, current: Current, scope: Scope) -> dict[str, Directory]:
        """Every fault as Invalid; else the directories that were looked at, by issuer."""
        found = faults(desired, current, scope, self.services.solvers)
        found += command_faults(desired, self.services.commands)
        if found:
            raise Invalid(*found)
        wanted = normal(desired)
        directories, found = self._look_at_directories(wanted, current)
        offered = {name: one.profiles for name, one in directories.items()}
        found += unknown_profiles(wanted, current, offered)
        found += Wished(wanted, current, scope, self.services.clock.now(), offered).names_over_limit()
        zones, http = _zones_after(wanted, current, scope), _http_after(wanted, current, scope)
        found += self._settings_faults(wanted, zones)
        found += unproven(desired, http, zones, self.services.dns.follow)
        if found:
            raise Invalid(*found)
        return directories

    def _settings_faults(self, wanted: DesiredFleet, zones: "list[Zone]") -> list[Fault]:
        return [
            Fault(pointer("zones", zone.name, "settings"), text)
            for zone in zones
            if zone.name in wanted.zones
            for text in self.services.solvers[zone.solver].check(zone)
        ]

    def _look_at_directories(
        self, wanted: DesiredFleet, current: Current
    ) -> "tuple[dict[str, Directory], list[Fault]]":
        """New and changed issuers have to answer; others without an account are asked for their terms only."""
        known = {issuer.name: issuer for issuer in current.issuers}
        seen: dict[str, Directory] = {}
        found: list[Fault] = []
        for name, issuer in wanted.issuers.items():
            former = known.get(name)
            changed = former is None or _address(former) != (issuer.directory, issuer.ca_certificates)
            if not changed and former is not None and former.account_url and former.profiles is not None:
                continue
            try:
                seen[name] = self.services.authorities.look_at_directory(_issuer(name, issuer))
            except CaError as error:
                if changed:
                    found.append(Fault(pointer("issuers", name, "directory"), _with_advice(error)))
        return seen, found


def _with_advice(error: CaError) -> str:
    if isinstance(error, CaOffLimits) or not isinstance(error, CaUnreachable):
        return str(error)
    return f"{error}: correct the URL, or let this master reach it"


def _address(issuer: Issuer) -> "tuple[str, str | None]":
    return issuer.directory_url, issuer.ca_certificates


def _issuer(name: str, wanted: DesiredIssuer) -> Issuer:
    """An issuer to look at; it has no id, for it is not in the store."""
    return Issuer("", name, Owner.API, wanted.directory, ca_certificates=wanted.ca_certificates)


def _zones_after(wanted: DesiredFleet, current: Current, scope: Scope) -> list[Zone]:
    kept = [zone for zone in current.zones if not scope.covers("zone", zone)]
    former = {zone.name: zone.secret for zone in current.zones}
    return kept + [
        Zone("", name, scope.owner, one.solver, one.settings, former.get(name) if one.secret is None else _has(one))
        for name, one in wanted.zones.items()
    ]


def _has(zone: DesiredZone) -> str | None:
    """In the place of a secret's id, for a secret that is not stored yet."""
    return "new" if zone.secret else None


def _http_after(wanted: DesiredFleet, current: Current, scope: Scope) -> list[HttpName]:
    kept = [name for name in current.http if not scope.covers("http", name)]
    return kept + [HttpName("", name, scope.owner, http.solver) for name, http in wanted.http.items()]
