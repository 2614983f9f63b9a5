"""What the engine does with lines and orders, on a real store and set time, with a fake CA and a fake solver."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaRefused, CaUnreachable, SolverError
from certline_master.domain.model import FailureClass, VersionState
from certline_master.domain.ports import RenewalWindow
from certline_shared.certificates import ari_certificate_id, read_chain
from certline_shared.keys import KeyType, generate, spki_sha256
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store

NAMES = ("shop.example.com", "www.shop.example.com")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    yield made
    store.close()


def live_serial(engine: Engine, name: str = "shop") -> str:
    version = engine.live(name)
    assert version is not None
    serial = version.certificates[0].serial
    assert serial is not None
    return serial


def test_a_line_with_a_request_gets_its_certificate(engine: Engine) -> None:
    key = engine.want("shop", NAMES)
    engine.run()
    version = engine.live("shop")
    assert version is not None
    facts = read_chain(version.certificates[0].chain or "")
    assert facts.names == tuple(sorted(NAMES))
    assert facts.spki_sha256 == spki_sha256(key.public_key())
    assert len(engine.ca.issued) == 1


def test_one_name_takes_seven_round_trips_with_an_account(engine: Engine) -> None:
    engine.want("first", ("first.example.com",))
    engine.run()
    before = len(engine.ca.requests)
    engine.want("second", ("second.example.com",))
    engine.run()
    kinds = [kind for kind in engine.ca.requests[before:] if kind not in ("renewalInfo", "newNonce")]
    assert len(kinds) <= 7, kinds


def test_all_names_of_a_zone_are_put_in_place_together(engine: Engine) -> None:
    engine.want("shop", NAMES)
    engine.run()
    presents = [call for call in engine.solver.calls if call[0] == "present"]
    assert presents == [("present", "example.com", tuple(f"_acme-challenge.{name}" for name in NAMES))]


def test_apex_and_wildcard_stand_side_by_side_at_one_name(engine: Engine) -> None:
    engine.want("wild", ("example.com", "*.example.com"))
    engine.run()
    (call,) = [call for call in engine.solver.calls if call[0] == "present"]
    assert call[2] == ("_acme-challenge.example.com",) * 2
    assert engine.live("wild") is not None


def test_nothing_is_left_in_dns_whether_it_went_well_or_not(engine: Engine) -> None:
    engine.want("shop", NAMES)
    engine.run()
    engine.ca.validate = lambda proof: f"no TXT record for {proof.name}"
    engine.want("bad", ("bad.example.com",))
    engine.run(timedelta(seconds=30))
    assert engine.solver.standing == set()


def test_an_authorization_that_is_reused_touches_no_dns(engine: Engine) -> None:
    engine.ca.reuse_authorizations = True
    engine.want("shop", NAMES)
    engine.run()
    touched, before = len(engine.solver.calls), engine.ca.count("authorization")
    engine.want("again", NAMES)
    engine.run()
    assert engine.live("again") is not None
    assert (len(engine.solver.calls), engine.ca.count("authorization")) == (touched, before)


def test_an_answer_is_given_only_when_all_name_servers_show_it(engine: Engine) -> None:
    engine.solver.invisible_looks = 3
    engine.want("shop", NAMES)
    engine.run()
    looks = [call[0] for call in engine.solver.calls].count("is_visible")
    assert looks == 4
    assert engine.live("shop") is not None


def test_dns_that_never_shows_the_record_ends_the_order_after_its_budget(engine: Engine) -> None:
    engine.solver.invisible_looks = 10_000
    engine.want("shop", NAMES)
    engine.run(timedelta(minutes=10, seconds=15))
    (failed,) = [version for version in engine.versions("shop") if version.state is VersionState.FAILED]
    assert failed.failure is not None
    assert "not visible" in failed.failure.detail
    assert engine.ca.count("challenge") == 0


def test_only_the_name_that_failed_is_blamed_and_the_rest_goes_on(engine: Engine) -> None:
    """acme.md D 12"""
    engine.ca.validate = lambda proof: "no TXT record" if proof.name == NAMES[0] else ""
    engine.want("shop", NAMES)
    engine.want("other", ("other.example.com",))
    engine.run(timedelta(seconds=30))
    (event,) = engine.events("order.failed")
    assert NAMES[0] in event.text
    assert NAMES[1] not in event.text
    assert engine.live("other") is not None
    assert engine.live("shop") is None


def test_a_failed_validation_is_tried_again_with_growing_pauses_and_at_most_five_times_an_hour(engine: Engine) -> None:
    """acme.md D 11"""
    engine.ca.validate = lambda _: "SERVFAIL"
    engine.want("shop", NAMES[:1])
    engine.run(timedelta(minutes=59))
    assert 2 <= engine.ca.count("newOrder") <= 5
    engine.ca.validate = lambda _: ""
    engine.run(timedelta(hours=2))
    assert engine.live("shop") is not None


def test_a_blocked_name_is_not_tried_in_a_loop(engine: Engine) -> None:
    """acme.md D 13"""
    engine.ca.blocked = {NAMES[0]}
    engine.want("shop", NAMES)
    engine.run(timedelta(hours=12))
    assert engine.ca.count("newOrder") == 1
    assert "rejectedIdentifier" in engine.standing("shop")


def test_a_renewal_happens_inside_the_cas_window_and_names_what_it_replaces(engine: Engine) -> None:
    """acme.md D 23, 27"""
    engine.want("shop", NAMES)
    engine.run()
    first = engine.live("shop")
    assert first is not None
    first_chain = first.certificates[0].chain or ""
    start = engine.clock.now() + timedelta(days=3)
    engine.ca.windows[ari_certificate_id(first_chain)] = RenewalWindow(
        start, start + timedelta(days=1), None, engine.clock.now() + timedelta(days=30)
    )
    engine.clock.advance(timedelta(hours=12))
    engine.run(timedelta(minutes=5))
    assert "inside the CA's window" in engine.standing("shop")
    engine.run(timedelta(days=4))
    second = engine.live("shop")
    assert second is not None
    assert second.number == 2
    assert start <= second.created <= start + timedelta(days=1)
    assert ari_certificate_id(first_chain) in engine.ca.replaced


def test_the_time_in_a_window_is_chosen_once(engine: Engine) -> None:
    engine.want("shop", NAMES)
    engine.run()
    chosen = {event.text for event in engine.events("renewal.chosen")}
    engine.run(timedelta(days=2))
    assert {event.text for event in engine.events("renewal.chosen")} == chosen


def test_a_window_in_the_past_renews_now_and_tells_the_cas_reason(engine: Engine) -> None:
    """acme.md D 24"""
    engine.want("shop", NAMES)
    engine.run()
    chain = (engine.live("shop") or pytest.fail("nothing live")).certificates[0].chain or ""
    past = engine.clock.now() - timedelta(days=2)
    engine.ca.windows[ari_certificate_id(chain)] = RenewalWindow(
        past, past + timedelta(days=1), "https://ca.example/incident", engine.clock.now()
    )
    engine.run(timedelta(hours=7))
    version = engine.live("shop")
    assert version is not None
    assert version.number == 2
    assert any("https://ca.example/incident" in event.text for event in engine.events("renewal.chosen"))


def test_a_ca_without_renewal_information_is_renewed_by_the_lifetime(engine: Engine) -> None:
    """acme.md D 25, 28"""
    engine.ca.has_renewal_info = False
    engine.want("shop", NAMES)
    engine.run()
    engine.run(timedelta(days=59))
    assert (engine.live("shop") or pytest.fail("nothing live")).number == 1
    engine.run(timedelta(days=2))
    assert (engine.live("shop") or pytest.fail("nothing live")).number == 2
    assert engine.ca.replaced == set()


def test_renewal_information_that_cannot_be_had_leaves_the_fall_back_in_force(engine: Engine) -> None:
    """acme.md D 25"""
    engine.ca.fail("renewalInfo", CaUnreachable("404"), times=1000)
    engine.want("shop", NAMES)
    engine.run(timedelta(days=61))
    assert (engine.live("shop") or pytest.fail("nothing live")).number == 2


@pytest.mark.parametrize(
    "kind", ["directory", "newAccount", "newOrder", "authorization", "challenge", "order", "finalize", "certificate"]
)
def test_a_ca_that_is_away_for_a_while_costs_only_time(engine: Engine, kind: str) -> None:
    """acme.md D 37"""
    engine.ca.fail(kind, CaUnreachable("503 Service Unavailable"), times=3)
    engine.want("shop", NAMES)
    engine.run()
    assert engine.live("shop") is not None
    assert len(engine.ca.issued) == 1


@pytest.mark.parametrize("kind", ["newOrder", "finalize"])
def test_an_answer_that_is_lost_makes_no_second_certificate(engine: Engine, kind: str) -> None:
    """acme.md D 37"""
    engine.ca.fail(kind, CaUnreachable("connection reset"), is_answer_lost=True)
    engine.want("shop", NAMES)
    engine.run()
    assert engine.live("shop") is not None
    assert len(engine.ca.issued) == 1


def test_a_rate_limit_is_kept_until_the_cas_own_time_and_others_go_on(engine: Engine) -> None:
    """acme.md D 36"""
    later = engine.clock.now() + timedelta(hours=3)
    limit = CaRefused("rateLimited", "too many", FailureClass.RETRY_AT, status=429, retry_at=later)
    engine.ca.fail("newOrder", limit)
    engine.want("shop", NAMES)
    engine.run(timedelta(minutes=1))
    engine.kill()
    engine.want("other", ("other.example.com",))
    engine.run(timedelta(hours=2))
    assert engine.live("other") is not None
    assert engine.live("shop") is None
    engine.run(timedelta(hours=2))
    version = engine.live("shop")
    assert version is not None
    assert version.created <= later <= engine.clock.now()


def test_an_account_that_the_ca_lost_is_registered_again(engine: Engine) -> None:
    """acme.md D 17"""
    engine.want("shop", NAMES)
    engine.run()
    engine.ca.forget_accounts()
    engine.want("other", ("other.example.com",))
    engine.run()
    assert engine.live("other") is not None
    assert engine.ca.count("newAccount") == 2


def test_a_deactivated_account_stops_and_does_not_loop(engine: Engine) -> None:
    """acme.md D 17"""
    engine.want("shop", NAMES)
    engine.run()
    engine.ca.deactivated.update(engine.ca.accounts.values())
    engine.want("other", ("other.example.com",))
    engine.run(timedelta(hours=20))
    assert engine.live("other") is None
    assert engine.ca.count("newOrder") <= 2


def test_a_slow_ca_is_asked_at_its_own_pace(engine: Engine) -> None:
    """acme.md D 31, 32"""
    engine.ca.validation_looks, engine.ca.retry_after = 3, timedelta(seconds=5)
    before = engine.clock.now()
    engine.want("shop", NAMES[:1])
    engine.run()
    assert engine.live("shop") is not None
    assert timedelta(seconds=10) <= engine.clock.now() - before <= timedelta(minutes=2)


def test_a_certificate_for_another_key_is_refused_and_the_old_one_stays(engine: Engine) -> None:
    """acme.md D 39"""
    engine.want("shop", NAMES)
    engine.run()
    serial, chain = live_serial(engine), (engine.live("shop") or pytest.fail("?")).certificates[0].chain or ""
    engine.ca.tamper = lambda _: chain
    engine.request("shop", NAMES, generate(KeyType.ECDSA_P256))
    engine.run(timedelta(hours=1))
    assert live_serial(engine) == serial
    assert any("not the one asked for" in event.text for event in engine.events("order.failed"))
    assert engine.ca.count("newOrder") == 2


def test_two_lines_with_the_same_names_take_turns(engine: Engine) -> None:
    """acme.md D 35"""
    engine.want("shop", NAMES)
    engine.want("twin", NAMES)
    engine.turn()
    with engine.store.read() as records:
        assert len(records.orders.live(SYSTEM)) <= 1
    engine.run()
    assert engine.live("shop") is not None
    assert engine.live("twin") is not None


def test_a_changed_name_set_is_issued_at_once_and_the_former_version_retired(engine: Engine) -> None:
    key = engine.want("shop", NAMES)
    engine.run()
    with engine.store.read() as records:
        line = records.lines.by_id(SYSTEM, "line-shop")
    changed = replace(line, names=NAMES[:1], next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, changed))
    engine.request("shop", NAMES[:1], key)
    engine.run(timedelta(minutes=5))
    states = {version.number: version.state for version in engine.versions("shop")}
    assert states == {1: VersionState.RETIRED, 2: VersionState.LIVE}


def test_a_solver_that_refuses_by_configuration_ends_the_order_with_its_cause(engine: Engine) -> None:
    engine.solver.fail_next["present"] = [SolverError("BADKEY: unknown key certline.", FailureClass.FIX_CONFIGURATION)]
    engine.want("shop", NAMES)
    engine.run(timedelta(hours=1))
    assert "BADKEY" in engine.standing("shop")
    assert engine.live("shop") is None


def test_a_clean_up_that_fails_is_tried_until_it_works(engine: Engine) -> None:
    engine.solver.fail_next["clean_up"] = [SolverError("server away")] * 3
    engine.want("shop", NAMES)
    engine.run()
    assert engine.solver.standing == set()
    assert [call[0] for call in engine.solver.calls].count("clean_up") == 4


def test_a_name_that_no_zone_covers_says_what_to_add(engine: Engine) -> None:
    engine.want("stray", ("www.elsewhere.org",))
    engine.run(timedelta(minutes=10))
    assert "add a zone" in engine.standing("stray")


def test_a_paused_worker_is_fenced_when_it_comes_back(engine: Engine) -> None:
    engine.ca.validation_looks = 5
    engine.want("shop", NAMES)
    engine.turn()
    other = Engine(engine.store, engine.clock, engine.chance, engine.ca, engine.solver, engine.dns, worker="other")
    engine.clock.advance(timedelta(minutes=5))
    other.run()
    assert other.live("shop") is not None
    engine.turn()
    assert len(engine.ca.issued) == 1


def test_an_operators_force_issues_again_once(engine: Engine) -> None:
    engine.want("shop", NAMES)
    engine.run()
    with engine.store.read() as records:
        line = records.lines.by_id(SYSTEM, "line-shop")
    forced = replace(line, forced=True, next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, forced))
    engine.run()
    assert (engine.live("shop") or pytest.fail("nothing live")).number == 2
