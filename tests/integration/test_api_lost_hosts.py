"""A host that is stolen with keys of the master: the plan, the doing, and the worklist until all is done."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.lost_host import PATIENCE
from certline_master.domain.model import FailureClass, Version, VersionState
from certline_shared.failpoints import watched
from tests.fakes.ca_issuing import serial_of
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, enrolled, fleet, installs, line_of, materials, pulled

SOON = timedelta(minutes=30)
COMPROMISED = 1


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        applied(running, fleet())
        yield running


@pytest.fixture
def hosts(bed: Bed) -> tuple[FollowerClient, FollowerClient]:
    """web-1 and web-2, both with version 1 of the line `shop`."""
    both = enrolled(bed, "web-1"), enrolled(bed, "web-2")
    bed.engine.run()
    for host in both:
        installs(host, 1)
    return both


def stolen(bed: Bed, name: str, *, dry_run: bool = False, now: bool = False) -> dict[str, Any]:
    query = "?dry_run=true" if dry_run else ""
    answer = bed.ask("POST", f"/v1/followers/{name}/stolen{query}", {"now": now}, role=Role.OPERATOR)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def worklist(bed: Bed, name: str) -> dict[str, Any]:
    found: dict[str, Any] = bed.ask("GET", f"/v1/followers/{name}/worklist", role=Role.VIEWER).json()
    return found


def versions(bed: Bed, line: str = "shop") -> dict[int, Version]:
    with bed.store.read() as records:
        found = records.versions.all(SYSTEM, records.lines.get(SYSTEM, line).id)
    return {version.number: version for version in found}


def revoked(bed: Bed) -> set[str]:
    """Serials that the CA was asked to revoke because their key was lost."""
    return {serial for serial, reason in bed.engine.ca.revoked.items() if reason == COMPROMISED}


def serial(bed: Bed, number: int, line: str = "shop") -> str:
    return serial_of(versions(bed, line)[number].certificates[0].chain or "")


# --- a stolen host ---


def test_the_plan_shows_everything_and_does_nothing(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    plan = stolen(bed, "web-2", dry_run=True)
    assert plan == worklist(bed, "web-2")
    (line,) = plan["lines"]
    assert (plan["state"], line["line"], line["own"], line["needs_key"]) == ("active", "shop", False, True)
    assert line["others"] == [{"follower": "web-1", "version": 1, "moved_on": False}]
    assert [(one["version"], one["revocation"]) for one in line["certificates"]] == [(1, "to do")]
    assert [one["spki_sha256"] for one in plan["keys"]] == [materials(bed)[0].spki_sha256]
    assert hosts[1].manifest().status_code == 200
    bed.engine.run()
    assert (list(versions(bed)), bed.engine.ca.count("revokeCert")) == ([1], 0)


def test_a_stolen_host_is_shut_out_and_the_key_replaced_before_the_old_certificate_is_revoked(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    former = materials(bed)[0].spki_sha256
    stolen(bed, "web-2")
    assert hosts[1].manifest().status_code == 401
    bed.engine.run(SOON)
    line = line_of(hosts[0])
    assert line is not None
    assert line.version == 2
    assert line.spki_sha256["ecdsa-p256"] != former
    assert revoked(bed) == set()  # web-1 still serves it
    (waiting,) = worklist(bed, "web-2")["lines"]
    assert waiting["text"] == "version 2 has a new key; web-1 still to install it"
    installs(hosts[0], 2)
    bed.engine.run(SOON)
    assert revoked(bed) == {serial(bed, 1)}
    assert versions(bed)[1].state is VersionState.REVOKED
    assert worklist(bed, "web-2")["done"]
    assert hosts[0].ask("GET", "/v1/follower/lines/shop/versions/1").status_code == 404


def test_a_host_that_does_not_move_on_delays_revocation_a_day_at_most(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    assert hosts
    stolen(bed, "web-2")
    bed.engine.run(PATIENCE - SOON)
    assert revoked(bed) == set()
    bed.engine.run(2 * SOON)
    assert revoked(bed) == {serial(bed, 1)}


def test_with_now_nobody_is_waited_for(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    assert hosts
    stolen(bed, "web-2", now=True)
    bed.engine.run(timedelta(minutes=1))
    assert revoked(bed) == {serial(bed, 1)}


def test_with_now_what_waits_already_is_revoked_too(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    assert hosts
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    assert revoked(bed) == set()
    stolen(bed, "web-2", now=True)
    bed.engine.run(SOON)
    assert revoked(bed) == {serial(bed, 1)}


def test_a_host_that_was_put_back_to_the_old_version_has_not_moved_on(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    pulled(hosts[0], 2)
    body = (
        b'{"agent":"a","deployments":[{"error":"nginx: check failed","line":"shop","state":"pulled","version":2}],'
        b'"manifest_serial":1}'
    )
    hosts[0].ask("POST", "/v1/follower/reports", body)
    bed.engine.run(SOON)
    assert revoked(bed) == set()


def test_its_own_lines_end_and_their_certificates_are_revoked_at_once(bed: Bed) -> None:
    desired = fleet(mail={"follower": "web-2", "names": ["mail.example.com"]})
    applied(bed, desired)
    host = enrolled(bed, "web-2")
    host.wish("mail", "mail.example.com")
    bed.engine.run()
    plan = stolen(bed, "web-2", dry_run=True)
    assert [(one["line"], one["own"]) for one in plan["lines"]] == [("mail", True)]
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    assert revoked(bed) == {serial(bed, 1, "mail")}
    assert list(versions(bed, "mail")) == [1], "nothing is issued for a host that is gone"
    assert worklist(bed, "web-2")["done"]


def test_a_key_that_was_never_released_to_it_is_not_replaced(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    enrolled(bed, "web-2")
    bed.engine.run()
    installs(host, 1)
    assert stolen(bed, "web-2")["lines"] == []
    bed.engine.run(SOON)
    assert (list(versions(bed)), revoked(bed)) == ([1], set())


def test_former_keys_that_it_was_given_are_revoked_too(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    """A renewal keeps the key, so a retired version that is still valid is as exposed as the live one."""
    bed.ask("POST", "/v1/lines/shop/issue", {"force": True})
    bed.engine.run(SOON)
    installs(hosts[0], 2)
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    installs(hosts[0], 3)
    bed.engine.run(SOON)
    assert revoked(bed) == {serial(bed, 1), serial(bed, 2)}


def test_repeating_it_changes_nothing_more(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    installs(hosts[0], 2)
    bed.engine.run(SOON)
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    assert (sorted(versions(bed)), bed.engine.ca.count("revokeCert")) == ([1, 2], 1)
    assert len(bed.events("follower.lost")) == 1


def test_a_host_that_was_revoked_before_can_be_told_stolen_later(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    bed.ask("POST", "/v1/followers/web-2/revoke")
    stolen(bed, "web-2")
    bed.engine.run(SOON)
    installs(hosts[0], 2)
    bed.engine.run(SOON)
    assert revoked(bed) == {serial(bed, 1)}


# --- revocation ---


def test_a_ca_that_cannot_be_reached_is_asked_again(bed: Bed, hosts: tuple[FollowerClient, FollowerClient]) -> None:
    assert hosts
    bed.engine.ca.fail("revokeCert", CaUnreachable("down"), times=3)
    stolen(bed, "web-2", now=True)
    bed.engine.run(SOON)
    assert bed.engine.ca.count("revokeCert") == 4
    assert revoked(bed) == {serial(bed, 1)}


def test_what_the_ca_refuses_for_good_is_told_and_not_tried_in_a_loop(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    assert hosts
    refusal = CaRefused("unauthorized", "not your certificate", FailureClass.NEEDS_PERSON, status=403)
    bed.engine.ca.fail("revokeCert", refusal, times=9)
    stolen(bed, "web-2", now=True)
    bed.engine.run(timedelta(days=1))
    assert bed.engine.ca.count("revokeCert") == 1
    (line,) = worklist(bed, "web-2")["lines"]
    (shown,) = [one for one in line["certificates"] if one["version"] == 1]
    assert (shown["revocation"], "not your certificate" in shown["error"]) == ("failed", True)
    assert len(bed.events("certificate.not_revoked")) == 1
    assert not worklist(bed, "web-2")["done"]


@pytest.mark.parametrize(
    "place", ["stolen.recorded", "key.made", "request.made", "revocation.asked", "revocation.recorded"]
)
def test_after_a_kill_anywhere_the_end_is_the_same(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient], place: str
) -> None:
    """One new key, one new version, one revocation; never two."""
    killed = False

    def die(reached: str) -> None:
        nonlocal killed
        if reached == place and not killed:
            killed = True
            raise KeyboardInterrupt

    def survive(work: Any) -> None:
        try:
            work()
        except KeyboardInterrupt:
            bed.engine.kill()

    with watched(die):
        answer = bed.ask("POST", "/v1/followers/web-2/stolen", {})
        assert answer.status_code in (200, 500)
        for _ in range(2):
            survive(lambda: bed.engine.run(SOON))
        installs(hosts[0], 2)
        for _ in range(2):
            survive(lambda: bed.engine.run(SOON))
    assert killed
    assert sorted(versions(bed)) == [1, 2]
    assert revoked(bed) == {serial(bed, 1)}
    assert len(materials(bed)) == 2
    assert (len(bed.events("certificate.revoked")), len(bed.events("key.replaced"))) == (1, 1)
    assert worklist(bed, "web-2")["done"]
