"""TLSA records in a real BIND: written by UPDATE, and seen as each authoritative server shows them."""

from collections.abc import Iterator

import pytest

from certline_master.challenges.resolver import Resolver
from certline_master.challenges.tlsa_look import AuthoritativeTlsa
from certline_master.domain.dane import Wanted
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass, Zone
from certline_master.domain.ports import TlsaWriter
from tests.contract.solver_bed import ZONE, rfc2136_solver, signed_by, zone
from tests.testbed import parts
from tests.testbed.bind import Bind
from tests.testbed.bind import bind as running_bind
from tests.testbed.ports import free_port

DIGEST = "ab" * 32
HAND_MADE = "3 1 1 " + "0f" * 32
LONG = "3 0 0 " + "c4" * 900  # a whole certificate: dnspython breaks it into pieces, and UDP does not hold it


@pytest.fixture(scope="module")
def named() -> Iterator[Bind]:
    parts.require("named")
    with running_bind({ZONE: f"_25._tcp.hand IN 7200 TLSA {HAND_MADE}\n_25._tcp.alias IN CNAME other"}) as server:
        yield server


def owner(host: str) -> str:
    return f"_25._tcp.{host}.{ZONE}"


def here(named: Bind) -> Zone:
    return zone({**signed_by(named, named.keys["hmac-sha256"]), "nameservers": [named.address]})


def change(named: Bind, *, add: list[Wanted] | None = None, remove: list[Wanted] | None = None) -> None:
    solver, secret = rfc2136_solver(named), named.keys["hmac-sha256"].secret.encode()
    solver.change_tlsa(here(named), secret, add=add or [], remove=remove or [])


def look(named: Bind, name: str) -> tuple[set[str], int]:
    found = AuthoritativeTlsa(Resolver([named.address])).look(name, here(named))
    assert found.faults == ()
    (one,) = found.shown
    return set(one.rdatas), one.ttl


def test_rfc2136_is_a_solver_that_can_write_them(named: Bind) -> None:
    assert isinstance(rfc2136_solver(named), TlsaWriter)


def test_several_values_stand_at_one_name_and_are_taken_away_one_by_one(named: Bind) -> None:
    name = owner("several")
    one, two = Wanted(name, f"3 1 1 {DIGEST}", 600), Wanted(name, LONG, 600)
    change(named, add=[one, two])
    assert look(named, name) == ({one.rdata, LONG}, 600)
    change(named, add=[one])  # again: nothing changes
    change(named, remove=[one])
    assert look(named, name) == ({LONG}, 600)


def test_what_somebody_made_by_hand_stays(named: Bind) -> None:
    """Issue 4, item 14."""
    name = owner("hand")
    ours = Wanted(name, f"3 1 1 {DIGEST}", 7200)
    change(named, add=[ours])
    change(named, remove=[ours])
    assert look(named, name) == ({HAND_MADE}, 7200)


def test_a_value_that_is_there_takes_the_new_ttl(named: Bind) -> None:
    name = owner("ttl")
    change(named, add=[Wanted(name, f"3 1 1 {DIGEST}", 3600)])
    change(named, add=[Wanted(name, f"3 1 1 {DIGEST}", 60)])
    assert look(named, name) == ({f"3 1 1 {DIGEST}"}, 60)


def test_the_serial_tells_that_the_zone_changed(named: Bind) -> None:
    name, view = owner("serial"), AuthoritativeTlsa(Resolver([named.address]))
    before = view.look(name, here(named)).shown[0].serial
    change(named, add=[Wanted(name, f"3 1 1 {DIGEST}", 60)])
    assert int(view.look(name, here(named)).shown[0].serial) == int(before) + 1


def test_where_there_is_none_the_negative_ttl_is_told(named: Bind) -> None:
    """RFC 2308 section 5: the lower of the SOA record's TTL (60) and its minimum (1)."""
    assert look(named, owner("never")) == (set(), 1)


def test_the_servers_of_a_zone_that_is_not_configured_are_found_by_its_ns_records(named: Bind) -> None:
    found = AuthoritativeTlsa(Resolver([named.address]), port=named.port).look(owner("hand"), None)
    assert [(one.server, set(one.rdatas)) for one in found.shown] == [(f"ns.{ZONE} (127.0.0.1)", {HAND_MADE})]


def test_a_server_that_is_silent_is_named_and_the_others_still_tell(named: Bind) -> None:
    silent = f"127.0.0.1:{free_port()}"
    settings = here(named).settings | {"nameservers": [named.address, silent]}
    found = AuthoritativeTlsa(Resolver([named.address])).look(owner("hand"), zone(settings))
    assert [one.server for one in found.shown] == [named.address]
    assert [fault.split(" ")[0] for fault in found.faults] == [silent]


def test_a_cname_at_the_name_is_said(named: Bind) -> None:
    found = AuthoritativeTlsa(Resolver([named.address])).look(owner("alias"), here(named))
    assert found.shown == ()
    assert "has a CNAME at _25._tcp.alias.example.test" in found.faults[0]


def test_a_server_without_authority_is_not_believed(named: Bind) -> None:
    elsewhere = zone({"nameservers": [named.address]}, name="elsewhere.test")
    resolver = Resolver([named.address])
    with pytest.raises(SolverError):
        AuthoritativeTlsa(resolver).look("_25._tcp.www.elsewhere.test", elsewhere)


def test_a_refused_update_says_what_to_do(named: Bind) -> None:
    refused = named.refused_key
    wrong = zone({**signed_by(named, refused), "nameservers": [named.address]})
    with pytest.raises(SolverError, match="allow it in its update policy") as caught:
        rfc2136_solver(named).change_tlsa(
            wrong, refused.secret.encode(), add=[Wanted(owner("no"), f"3 1 1 {DIGEST}", 60)], remove=[]
        )
    assert caught.value.failure is FailureClass.FIX_CONFIGURATION
