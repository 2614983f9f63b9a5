"""The master is killed (SIGKILL) at every step of an order's journal: after its restart nothing is lost or doubled.

Tests A1 to A6 of the list of fault tests; what each adds stands beside its failpoint.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import pytest

import certline_master
from tests.end_to_end.assertions import assert_installed
from tests.end_to_end.conftest import BedMaker
from tests.end_to_end.harness import ZONE, Bed, Fleet, Requests, fleet, watched
from tests.end_to_end.host import AWAY, CHANGED, FAILED, NOTHING, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.bind import Bind
from tests.testbed.fault_proxy import FaultProxy

WWW = f"www.{ZONE}"
RECORD = f"_acme-challenge.{WWW}"

# `order.X.recorded` is left out where it is the very moment `order.X.before`: nothing happens between the two.
ON_THE_RESPONDER = (
    "version.ordered",  # A1: the request is stored, the CA not asked yet
    "order.keyed.before",
    "order.keyed.after",  # A2: the order's URL is not written down
    "order.opened.before",
    "order.opened.after",
    "order.publishing.before",
    "order.publishing.presented",
    "order.publishing.after",
    "order.visible.before",
    "order.ready.before",
    "order.ready.after",  # A5: the CA has the request, we do not know
    "order.finalized.before",  # A5: the certificate was not fetched
    "order.finalized.after",  # A6: fetched, not stored
    "order.issued.recorded",  # A6: stored, the follower was not told
    "sweep.cleaned",
)
# From the moment that the CA looks, the DNS has to stand; our own responder falls with its master.
ON_BIND = (
    "order.publishing.presented",  # A3
    "order.publishing.after",  # A3
    "order.visible.before",
    "order.visible.told",  # A4
    "order.visible.after",  # A4
    "order.answered.before",  # A4
    "order.answered.after",  # A4
    "order.issued.recorded",
    "sweep.cleaned",
)
ORPHANING = frozenset({"order.keyed.after"})  # the CA made an order whose URL was never written down


def test_every_failpoint_of_the_master_is_in_this_files_list() -> None:
    """Those of issuing; the others are killed in the tests of what they belong to."""
    found = set()
    for file in Path(certline_master.__file__).parent.rglob("*.py"):
        found |= set(re.findall(r'failpoint\(f?"([^"]+)"\)', file.read_text()))
    issuing = {without_state(name) for name in found if name.startswith(("order.", "version.ordered", "sweep."))}
    assert issuing == {without_state(name) for name in (*ON_THE_RESPONDER, *ON_BIND)}


def without_state(failpoint: str) -> str:
    return re.sub(r"order\..+\.(before|after|recorded)", r"order.*.\1", failpoint)


@dataclass(frozen=True, slots=True)
class Scene:
    """A master that will die, behind a CA that keeps a record of what it was asked; and a host that wants one name."""

    master: MasterProcess
    host: FollowerHost
    requests: Requests


def scene(here: Bed, proxy: FaultProxy, wanted: Fleet, failpoint: str, nameservers: tuple[str, ...] = ()) -> Scene:
    master = here.master(nameservers=nameservers)
    master.start(failpoint=failpoint)
    master.set_fleet(wanted)
    host = here.enrolled(master, "web")
    host.configure(HostLine("www", (WWW,)))
    return Scene(master, host, Requests(proxy))


def crash(at: Scene) -> None:
    at.host.sync().well(AWAY, FAILED, CHANGED)  # changed: at the last failpoints it may get its certificate
    at.master.dies_at_its_failpoint()


def come_back(at: Scene) -> str:
    """The serial that the line has in the end."""
    at.master.start()
    return at.master.issued("www@web")


def assert_one_certificate_and_nothing_left(at: Scene, failpoint: str, serial: str) -> None:
    assert at.requests.certificates == 1, "exactly one certificate for one wish"
    assert at.requests.orders == (2 if failpoint in ORPHANING else 1)
    assert len(at.master.events("version.ordered")) == 1
    assert len(at.master.events("version.live")) == 1
    eventually(lambda: not at.master.standing_challenges(), 10, "all answers are taken away, by the ledger")
    at.host.sync().well(CHANGED, NOTHING)
    assert_installed(at.host.tls, serial)
    assert at.master.live_serial("www@web") == serial


@pytest.mark.parametrize("failpoint", ON_THE_RESPONDER)
def test_a_master_killed_at_this_step_ends_with_one_certificate_and_no_record(here: Bed, failpoint: str) -> None:
    with watched(here.ca) as proxy:
        at = scene(here, proxy, fleet(proxy, {"web": [WWW]}), failpoint)
        crash(at)

        serial = come_back(at)

        assert_one_certificate_and_nothing_left(at, failpoint, serial)
        assert texts_of_the_responder(here) == []


@pytest.mark.parametrize("failpoint", ON_BIND)
def test_a_master_killed_at_this_step_leaves_no_record_on_a_real_name_server(
    bed_with: BedMaker, bind: Bind, failpoint: str
) -> None:
    with bed_with(dns_server=bind.address) as here, watched(here.ca) as proxy:
        wanted = fleet(proxy, {"web": [WWW]}, zones={ZONE: bind_zone(here, bind)})
        at = scene(here, proxy, wanted, failpoint, nameservers=(bind.address,))
        crash(at)

        serial = come_back(at)

        assert_one_certificate_and_nothing_left(at, failpoint, serial)
        assert at.requests.answers == 1, "the CA was told once, so it failed no validation"
        assert bind.records(f"{RECORD}.") == []


def test_a_master_killed_again_and_again_still_ends_with_one_certificate(here: Bed) -> None:
    first, *more = ["order.opened.after", "order.publishing.after", "order.ready.before", "order.finalized.after"]
    with watched(here.ca) as proxy:
        at = scene(here, proxy, fleet(proxy, {"web": [WWW]}), first)
        crash(at)
        for failpoint in more:
            at.master.begin(failpoint=failpoint)
            at.master.dies_at_its_failpoint()

        serial = come_back(at)

        assert_one_certificate_and_nothing_left(at, first, serial)


def texts_of_the_responder(here: Bed) -> list[str]:
    """What the master's DNS answers for the challenge's record."""
    query = dns.message.make_query(RECORD, "TXT")
    answer = dns.query.udp(query, "127.0.0.1", timeout=5, port=here.dns_port or 0)
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]


def bind_zone(here: Bed, bind: Bind) -> Fleet:
    """The zone on BIND, changed by RFC 2136."""
    key = bind.keys["hmac-sha256"]
    secret = here.folder / "tsig.key"
    secret.write_text(key.secret)
    placed = {"server": "127.0.0.1", "port": bind.port, "nameservers": [bind.address]}
    return {"solver": "rfc2136", "key_name": key.name, "secret": f"file:{secret}", **placed}
