"""DANE with a real BIND, also one that signs its zone: the records through a rollover, validated and kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.query
import dns.rdataset
import dns.rdatatype
import dns.rrset
import pytest

from certline_master.challenges.resolver import Resolver
from certline_master.challenges.rfc2136 import Rfc2136Solver
from certline_master.challenges.tlsa_look import AuthoritativeTlsa, text_of
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.domain.dane import Wanted
from certline_master.domain.model import Owner, TlsaState, Zone
from certline_master.domain.ports import TlsaSight
from certline_shared.clock import SystemClock
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store
from tests.fakes.solver import FakeSolver
from tests.integration.dane_fleet import AT, CERT, HAND_MADE, SPKI, Fleet
from tests.testbed import parts
from tests.testbed.bind import Bind
from tests.testbed.bind import bind as running_bind

ZONE = "example.com"
MOST_TICKS = 3000


@dataclass
class Cached:
    rdatas: frozenset[str]
    until: datetime


@dataclass
class BindZone(FakeSolver):
    """The solver and the view that a master has, on a real server; answers are kept as a resolver keeps them."""

    clock: FakeClock
    named: Bind
    signed: bool
    kept: dict[str, list[Cached]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        key, resolver = self.named.keys["hmac-sha256"], Resolver([self.named.address])
        here = {"server": "127.0.0.1", "port": self.named.port, "nameservers": [self.named.address]}
        self._zone = Zone("zone", ZONE, Owner.FILE, "rfc2136", {**here, "key_name": key.name})
        self._secret = key.secret.encode()
        self._writer = Rfc2136Solver(resolver, AuthoritativeLook(resolver, SystemClock()))
        self._view = AuthoritativeTlsa(resolver)
        self._anchor = self._ask(ZONE, dns.rdatatype.DNSKEY)[0] if self.signed else None

    def change_tlsa(
        self,
        zone: Zone,  # noqa: ARG002 the port's signature
        secret: bytes | None,  # noqa: ARG002 the port's signature
        *,
        add: Sequence[Wanted],
        remove: Sequence[Wanted],
    ) -> None:
        self._writer.change_tlsa(self._zone, self._secret, add=add, remove=remove)

    def look(self, name: str, zone: Zone | None) -> TlsaSight:  # noqa: ARG002 the port's signature
        return self._view.look(name, self._zone)

    def cached(self, name: str) -> set[frozenset[str]]:
        """Ask, validate, keep for the TTL; all that is kept."""
        now = self.clock.now()
        rdatas, ttl = self._answer(name)
        kept = [one for one in self.kept.get(name, []) if one.until > now and one.rdatas != rdatas]
        self.kept[name] = [*kept, Cached(rdatas, now + timedelta(seconds=ttl))]
        return {one.rdatas for one in self.kept[name]}

    def _answer(self, name: str) -> tuple[frozenset[str], int]:
        found = self._ask(name, dns.rdatatype.TLSA)
        if len(found) < 1:
            return frozenset(), 0
        if self.signed:
            assert self._anchor is not None
            keys: dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset] = {dns.name.from_text(ZONE): self._anchor}
            dns.dnssec.validate(found[0], found[1], keys)
        return frozenset(text_of(rdata) for rdata in found[0]), found[0].ttl

    def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
        """The set and, of a signed zone, its signatures."""
        query = dns.message.make_query(name, kind, want_dnssec=self.signed)
        answer = dns.query.tcp(query, "127.0.0.1", timeout=5, port=self.named.port)
        kinds = (kind, dns.rdatatype.RRSIG)
        return sorted((one for one in answer.answer if one.rdtype in kinds), key=lambda one: kinds.index(one.rdtype))


@contextmanager
def fleet_on_bind(tmp_path: Path, *, signed: bool) -> Iterator[tuple[Fleet, BindZone]]:
    parts.require("named")
    with running_bind({ZONE: f"_443._tcp.shop 300 IN TLSA {HAND_MADE}"}, dnssec=signed) as named:
        zone = BindZone(FakeClock(), named, signed)
        chance = SeededChance()
        store = open_fresh_store(tmp_path, zone.clock, chance)
        engine = Engine(store, zone.clock, chance, FakeCa(zone.clock), solver=zone, tlsa=zone)
        try:
            yield Fleet(engine, zone, SPKI, CERT), zone
        finally:
            store.close()


def until(fleet: Fleet, number: int) -> None:
    """Go on until all hosts serve that version and only its records are left; the signer takes real time."""
    for _ in range(MOST_TICKS):
        fleet.tick()
        rows = {row.rdata: row.state for row in fleet.ledger()}
        if all(host.told == number for host in fleet.hosts) and set(rows.values()) == {TlsaState.VISIBLE}:
            former = {rdata for older in range(1, number) for rdata in fleet.wanted_by(older)}
            if not (former - fleet.wanted_by(number)) & set(rows) and len(rows) == len(fleet.wanted_by(number)) + 1:
                return
    raise AssertionError(f"{fleet.states()}: {[(row.rdata, row.state, row.error) for row in fleet.ledger()]}")


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_no_answer_that_a_resolver_may_hold_fails_through_a_rollover(tmp_path: Path, *, signed: bool) -> None:
    """Issue 4, item 15; 2.1 lines 9 and 33; 2.3 line 15; section 4 line 1: three hosts, a hand-made value beside."""
    with fleet_on_bind(tmp_path, signed=signed) as (fleet, zone):
        until(fleet, 1)
        fleet.change(rollover="asked for")
        until(fleet, 2)
        wanted = {row.rdata for row in fleet.ledger()}  # of the version, and of the next key
        assert {" ".join(one.split()) for one in zone.named.records(AT, "TLSA")} == {HAND_MADE, *wanted}
