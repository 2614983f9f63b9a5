"""DANE through whole rollovers: at no moment does an answer that a cache may hold fail to match what a host serves."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, SolverError
from certline_master.domain.line_going_back import go_back
from certline_master.domain.model import LineOptions, TlsaState, TlsaWish, VersionState
from certline_master.work.tlsa import LEASE
from certline_shared.failpoints import watched
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.dns_zone import LAG, DnsZone
from tests.fakes.engine import Engine, open_fresh_store
from tests.integration.dane_fleet import (
    ANCHOR,
    AT,
    BOTH,
    CERT,
    HAND_MADE,
    HOST,
    NEGATIVE_TTL,
    SETTLED,
    SPKI,
    TICK,
    Fleet,
)


@pytest.fixture
def zone() -> DnsZone:
    return DnsZone(FakeClock(), negative_ttl=NEGATIVE_TTL)


@pytest.fixture
def engine(tmp_path: Path, zone: DnsZone) -> Iterator[Engine]:
    chance = SeededChance()
    store = open_fresh_store(tmp_path, zone.clock, chance)
    yield Engine(store, zone.clock, chance, FakeCa(zone.clock), solver=zone, tlsa=zone)
    store.close()


def test_the_first_version_waits_until_its_records_are_in_every_cache(engine: Engine, zone: DnsZone) -> None:
    """2.1 line 9: TLSA goes out before the service has the key. The negative TTL is on record before the change."""
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(LAG["ns2"] + timedelta(seconds=NEGATIVE_TTL))
    assert fleet.states() == {1: VersionState.STAGED}
    assert {row.former_ttl for row in fleet.ledger()} == {NEGATIVE_TTL}
    fleet.run(timedelta(minutes=6))
    assert fleet.states() == {1: VersionState.LIVE}


@pytest.mark.parametrize("wish", [SPKI, CERT, BOTH, ANCHOR], ids=["spki", "cert", "both", "trust anchor"])
def test_through_a_whole_rollover_no_cached_answer_ever_fails(engine: Engine, zone: DnsZone, wish: TlsaWish) -> None:
    """Issue 4, item 15; section 4 line 1; 2.3 lines 9 and 15."""
    fleet = Fleet(engine, zone, wish)
    fleet.run(SETTLED)
    assert fleet.states() == {1: VersionState.LIVE}
    fleet.change(rollover="asked for")
    fleet.run(2 * SETTLED)
    assert fleet.states() == {1: VersionState.RETIRED, 2: VersionState.LIVE}
    assert {host.serves.number for host in fleet.hosts if host.serves} == {2}
    live, former = fleet.wanted_by(2), fleet.wanted_by(1)
    standing = zone.at(AT)[0]
    assert live <= standing
    assert not (former - live) & standing  # nobody serves it any more
    assert {row.state for row in fleet.ledger()} <= {TlsaState.VISIBLE}


def test_renewals_with_selector_cert_wait_each_time(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, CERT)
    fleet.run(SETTLED)
    for _ in range(2):
        fleet.change(forced=True)
        fleet.run(timedelta(minutes=8))
        assert VersionState.STAGED in fleet.states().values()
        fleet.run(SETTLED)
    assert sorted(fleet.states().values()) == [VersionState.LIVE, VersionState.RETIRED, VersionState.RETIRED]


def test_the_next_key_is_published_long_before_so_that_a_rollover_does_not_wait(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    assert len(zone.at(AT)[0]) == 2  # current and next
    fleet.change(rollover="asked for")
    fleet.run(timedelta(minutes=2))
    assert fleet.states()[2] is VersionState.LIVE


def test_the_former_record_stays_until_the_last_host_told_and_no_longer(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    former = fleet.wanted_by(1)
    fleet.change(rollover="asked for")
    fleet.run(timedelta(minutes=28))  # mail-3 installed after 15, and tells after 30
    assert former <= zone.at(AT)[0]
    fleet.run(timedelta(minutes=10))
    assert not former & zone.at(AT)[0]


def test_a_suspended_host_keeps_no_record(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    fleet.suspend("mail-3")
    former = fleet.wanted_by(1)
    fleet.change(rollover="asked for")
    fleet.run(timedelta(minutes=20))
    assert not former & zone.at(AT)[0]


def test_what_was_made_by_hand_stays_and_counts_with_its_ttl(engine: Engine, zone: DnsZone) -> None:
    zone.put(AT, {HAND_MADE}, 1800)
    zone.clock.advance(timedelta(days=1))
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(timedelta(minutes=31))
    assert fleet.states() == {1: VersionState.STAGED}
    assert {row.former_ttl for row in fleet.ledger()} == {1800}
    fleet.run(timedelta(minutes=6))
    assert fleet.states() == {1: VersionState.LIVE}
    assert HAND_MADE in zone.at(AT)[0]
    engine.store.write(lambda records: records.lines.delete(SYSTEM, "shop"))
    for _ in range(8):
        engine.turn()
        engine.clock.advance(TICK)
    assert zone.at(AT)[0] == {HAND_MADE}


def test_nothing_is_sent_while_dns_is_as_it_is_wanted(engine: Engine, zone: DnsZone) -> None:
    """2.1 line 34."""
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    sent = list(zone.updates)
    fleet.run(SETTLED)
    assert zone.updates == sent


def test_a_record_that_somebody_took_away_comes_back(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    before = zone.at(AT)
    zone.put(AT, frozenset(), 0)
    fleet.run(timedelta(minutes=12), watch=False)
    assert zone.at(AT) == before
    assert len(engine.events("tlsa.vanished")) == len(before[0])


def test_a_new_ttl_is_written_and_the_longer_one_of_before_still_counts(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, CERT)
    fleet.run(SETTLED)
    fleet.change(options=LineOptions(tlsa=(replace(CERT, ttl=60),)))
    fleet.run(timedelta(minutes=5))
    assert zone.at(AT)[1] == 60
    fleet.change(forced=True)
    fleet.run(timedelta(minutes=8))
    assert fleet.states()[2] is VersionState.STAGED  # caches may hold the set of before for ten minutes more
    fleet.run(timedelta(minutes=15))
    assert fleet.states()[2] is VersionState.LIVE


def test_a_name_server_that_is_away_holds_the_switch_and_is_named(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, CERT)
    fleet.run(SETTLED)
    zone.silent = {"ns2"}
    fleet.change(forced=True)
    fleet.run(SETTLED)
    assert fleet.states()[2] is VersionState.STAGED
    assert "name server ns2 does not answer" in engine.standing("shop")
    zone.silent = set()
    fleet.run(SETTLED)
    assert fleet.states()[2] is VersionState.LIVE


def test_a_refused_update_is_told_with_the_record_and_tried_again(engine: Engine, zone: DnsZone) -> None:
    zone.refuses = SolverError("DNS server ns1 does not let this key change this zone (REFUSED)")
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(timedelta(minutes=5))
    assert all("REFUSED" in (row.error or "") for row in fleet.ledger())
    assert "REFUSED" in engine.standing("shop")
    zone.refuses = None
    fleet.run(timedelta(minutes=20))
    assert fleet.states() == {1: VersionState.LIVE}


def test_after_a_revocation_its_records_are_gone_and_the_new_version_does_not_wait(
    engine: Engine, zone: DnsZone
) -> None:
    """2.1 line 35: TLSA removed."""
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    (version,) = engine.versions("shop")
    revoked, former = VersionState.REVOKED, fleet.wanted_by(1)
    now = engine.clock.now()
    engine.store.write(lambda records: records.versions.set_state(SYSTEM, version.id, revoked, now=now))
    fleet.change(rollover="its certificate was revoked")
    fleet.run(timedelta(minutes=2), watch=False)
    assert not former & zone.at(AT)[0]
    assert fleet.states()[2] is VersionState.LIVE


def test_back_while_the_former_records_stand_and_not_once_they_are_gone(engine: Engine, zone: DnsZone) -> None:
    """Issue 4, item 15: a rollover can be turned back."""
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    fleet.change(rollover="asked for")
    fleet.run(timedelta(minutes=8))
    engine.store.write(lambda records: go_back(records, SYSTEM, fleet.line(), 1, engine.clock.now()))
    fleet.run(SETTLED)
    assert fleet.states() == {1: VersionState.LIVE, 2: VersionState.RETIRED}
    assert fleet.wanted_by(1) <= zone.at(AT)[0]
    fleet.change(rollover="asked for")
    fleet.run(2 * SETTLED)
    with pytest.raises(Conflict, match="DNS does not have all of version 1"):
        engine.store.write(lambda records: go_back(records, SYSTEM, fleet.line(), 1, engine.clock.now()))


def test_in_a_zone_of_another_tool_nothing_is_written_and_all_is_waited_for(engine: Engine, zone: DnsZone) -> None:
    """2.1 line 47: no zone is reloaded by us; 2.3 line 9: what is to be there is offered to the tool."""
    elsewhere = "_25._tcp.mx.elsewhere.example"
    fleet = Fleet(engine, zone, TlsaWish(host="mx.elsewhere.example", port=25))
    fleet.run(SETTLED)
    (row,) = fleet.ledger()
    assert (fleet.states(), zone.updates, row.name) == ({1: VersionState.STAGED}, [], elsewhere)
    assert "publish what `certline tlsa show --zone-file` prints" in engine.standing("shop")
    zone.put(elsewhere, {row.rdata}, 300)
    fleet.run(timedelta(minutes=15))
    assert fleet.states() == {1: VersionState.LIVE}
    engine.store.write(lambda records: records.lines.delete(SYSTEM, "shop"))
    for _ in range(5):
        engine.turn()
        engine.clock.advance(TICK)
    (left,) = [one for one in fleet.ledger() if one.rdata == row.rdata]
    assert (left.state, "take it away there" in (left.error or "")) == (TlsaState.REMOVING, True)
    zone.put(elsewhere, frozenset(), 300)
    for _ in range(10):
        engine.turn()
        engine.clock.advance(TICK)
    assert row.rdata not in {one.rdata for one in fleet.ledger()}


def test_of_two_masters_one_keeps_the_records_until_it_is_gone(engine: Engine, zone: DnsZone) -> None:
    """Each would take what the other has just sent for what stood before."""
    fleet = Fleet(engine, zone, SPKI)
    fleet.run(SETTLED)
    other = Engine(engine.store, zone.clock, SeededChance(), engine.ca, solver=zone, tlsa=zone, worker="other")
    for one in (engine, other):
        engine.store.write(lambda records: records.tlsa.look(SYSTEM, "line-shop", zone.clock.now()))
        assert bool(one.records.turn()) is (one is engine)
    zone.clock.advance(LEASE + timedelta(seconds=1))
    assert other.records.turn() > 0
    engine.store.write(lambda records: records.tlsa.look(SYSTEM, "line-shop", zone.clock.now()))
    assert engine.records.turn() == 0


def test_two_lines_at_one_name_make_one_set(engine: Engine, zone: DnsZone) -> None:
    fleet = Fleet(engine, zone, SPKI)
    other = replace(fleet.line(), id="line-other", name="other", names=(HOST, "more.example.com"), key_id=None)
    elsewhere = replace(other, options=LineOptions(tlsa=(replace(SPKI, host=HOST),)))
    engine.store.write(lambda records: records.lines.save(SYSTEM, elsewhere))
    fleet.run(SETTLED)
    both = {row.rdata for row in fleet.ledger() if row.state is TlsaState.VISIBLE}
    assert (len(both), set(zone.at(AT)[0])) == (4, both)
    engine.store.write(lambda records: records.lines.delete(SYSTEM, "other"))
    fleet.run(timedelta(minutes=10))
    assert len(zone.at(AT)[0]) == 2


@pytest.mark.parametrize("place", ["tlsa.wanted", "tlsa.intended", "tlsa.sent", "tlsa.recorded", "tlsa.seen"])
def test_after_a_kill_at_any_step_the_rollover_goes_on_as_safely(engine: Engine, zone: DnsZone, place: str) -> None:
    fleet = Fleet(engine, zone, CERT)
    fleet.run(SETTLED)
    fleet.change(forced=True)
    killed = False

    def die(reached: str) -> None:
        nonlocal killed
        if reached == place and not killed:
            killed = True
            raise KeyboardInterrupt

    with watched(die):
        for _ in range(int(2 * SETTLED / TICK)):
            try:
                fleet.tick()
            except KeyboardInterrupt:
                engine.kill()
    assert killed
    assert fleet.states() == {1: VersionState.RETIRED, 2: VersionState.LIVE}
    assert zone.at(AT)[0] == fleet.wanted_by(2)
