"""Bad input, as people give it to the two commands: one clear line, the documented exit code, and nothing changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certline_shared import enrolment
from certline_shared.clock import SystemClock
from tests.end_to_end.assertions import assert_installed, names_of
from tests.end_to_end.commands import Finished
from tests.end_to_end.harness import Bed, bed, fleet
from tests.end_to_end.host import AWAY, CHANGED, NOTHING, REFUSED, USAGE, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.parts import require
from tests.testbed.ports import free_port

WWW = "www.example.test"
IDN, A_LABEL = "bücher.example.test", "xn--bcher-kva.example.test"
HOSTS = ("used", "expired", "foreign", "cut", "names", "idn", "revoked", "woken")


@pytest.fixture(scope="module")
def place(initialised: Path) -> Iterator[Bed]:
    require("pebble")
    with bed(template=initialised) as made:
        yield made


@pytest.fixture(scope="module")
def master(place: Bed) -> MasterProcess:
    """One for this file: each test has a host of its own."""
    grants = {"names": [WWW], "idn": [IDN], "revoked": ["revoked.example.test"], "woken": ["woken.example.test"]}
    return place.serving({name: grants.get(name, []) for name in HOSTS})


# --- tokens ---


def enrolment_refused(host: FollowerHost, text: str, code: int = REFUSED) -> str:
    """What `enroll` says; the master takes one try a second from one address."""
    finished = eventually(lambda: _not_busy(host, text), 10, "a free second for an enrolment")
    assert finished
    assert not (host.state_dir / "identity.json").exists()
    return finished.refused(code)


def _not_busy(host: FollowerHost, text: str) -> Finished | None:
    finished = host.enrol(text)
    return None if finished.code == AWAY else finished


def test_a_token_that_another_host_used_is_refused_and_the_master_keeps_both_names(
    place: Bed, master: MasterProcess
) -> None:
    text = master.token("used")
    eventually(lambda: place.host("used").enrol(text).well(NOTHING, AWAY).code == NOTHING, 10, "the first host")

    said = enrolment_refused(place.host("thief"), text)

    assert "was used by another host" in said
    assert "certline follower token" in said
    (alarm,) = master.events("token.used_twice")
    assert alarm["subject"] == "follower:used"
    assert alarm["data"]["first"] != alarm["data"]["second"]


def test_an_expired_token_is_refused(place: Bed, master: MasterProcess) -> None:
    text = master.command("follower", "token", "expired", "--ttl", "1s").well().out
    expires = enrolment.from_text(text).expires_at
    eventually(lambda: SystemClock().now() > expires, 5, "the token's end")

    assert "expired" in enrolment_refused(place.host("expired"), text)


def test_a_token_of_another_master_is_refused(place: Bed, master: MasterProcess) -> None:
    ours = enrolment.from_text(master.token("foreign"))
    foreign = replace(ours, token_id="11111111-2222-4333-8444-555555555555", secret=b"s" * 32)

    assert "of another master" in enrolment_refused(place.host("foreign"), enrolment.to_text(foreign))


def test_a_token_with_a_wrong_secret_is_refused_in_the_same_words(place: Bed, master: MasterProcess) -> None:
    ours = enrolment.from_text(master.token("foreign"))

    said = enrolment_refused(place.host("guessing"), enrolment.to_text(replace(ours, secret=b"s" * 32)))

    assert "used, expired" in said


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda text: text[:-5], "cut or changed", id="cut"),
        pytest.param(lambda _: "", "not an enrolment string", id="empty"),
        pytest.param(lambda _: "swordfish", "not an enrolment string", id="something else"),
    ],
)
def test_an_enrolment_string_that_was_not_copied_whole_is_named_as_such(
    place: Bed, master: MasterProcess, spoil: Callable[[str], str], told: str
) -> None:
    text = master.token("cut")

    said = place.host("cut").enrol(spoil(text)).refused(USAGE)

    assert told in said
    assert text[40:60] not in said, "the secret is not repeated"


# --- issuers ---


@pytest.mark.parametrize(
    ("directory", "told"),
    [
        pytest.param(lambda _: f"https://localhost:{free_port()}/dir", "Connection refused", id="unreachable"),
        pytest.param(lambda ca: ca.directory_url.replace("https", "http", 1), "https only", id="http"),
        pytest.param(lambda ca: f"{ca.management_url}/roots/0", "does not show an ACME directory", id="not ACME"),
    ],
)
def test_an_issuer_that_cannot_be_used_is_told_with_its_line_and_nothing_is_changed(
    place: Bed, master: MasterProcess, directory: Callable[[Any], str], told: str
) -> None:
    wanted = fleet(place.ca, {name: [] for name in HOSTS})
    wanted["issuers"]["pebble"]["directory"] = directory(place.ca)
    before = master.get("/v1/issuers")

    said = master.apply(wanted).refused(USAGE)

    assert "fleet.yaml:4: issuers.pebble.directory:" in said
    assert told in said
    assert master.get("/v1/issuers") == before


def test_a_directory_whose_certificate_is_not_trusted_is_refused_with_the_way_to_trust_it(
    place: Bed, master: MasterProcess
) -> None:
    wanted = fleet(place.ca, {name: [] for name in HOSTS})
    del wanted["issuers"]["pebble"]["ca_file"]  # with it, all other tests go through

    said = master.apply(wanted).refused(USAGE)

    assert "is not trusted" in said
    assert "give its root" in said


def test_a_ca_file_that_is_missing_is_named(place: Bed, master: MasterProcess) -> None:
    wanted = fleet(place.ca, {name: [] for name in HOSTS})
    wanted["issuers"]["pebble"]["ca_file"] = "no-such.pem"

    assert "issuers.pebble.ca_file: no-such.pem cannot be read" in master.apply(wanted).refused(USAGE)


# --- names ---


@pytest.mark.parametrize(
    ("names", "told"),
    [
        pytest.param([f"n{number}.example.test" for number in range(101)], "at most 100", id="101 names"),
        pytest.param(["192.0.2.1"], "is an IP address", id="an IP address"),
        pytest.param([""], "an empty name", id="an empty name"),
        pytest.param([f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.example.test"], "octets", id="too long a name"),
        pytest.param(["*.example.test", "www.example.test"], "*.example.test", id="a wildcard over another name"),
    ],
)
def test_names_that_no_certificate_can_hold_are_refused_on_the_host_by_file_and_line(
    place: Bed, master: MasterProcess, names: list[str], told: str
) -> None:
    assert master.line("www@names") is None
    host = place.host("names")
    host.configure(HostLine("www", tuple(names)))

    said = host.sync().refused(USAGE)

    assert f'{host.config_file}, line 6: line "www", names: ' in said
    assert told in said


def test_the_same_names_are_refused_in_the_fleet_file_by_line_and_field(place: Bed, master: MasterProcess) -> None:
    wanted = fleet(place.ca, {"names": [WWW, "192.0.2.1", ""]})

    said = master.apply(wanted).refused(USAGE)

    assert "followers.names.grants.request.1: the name '192.0.2.1' is an IP address" in said
    assert "followers.names.grants.request.2: an empty name" in said


def test_an_international_name_is_taken_in_its_normal_form_and_shown_both_ways(
    place: Bed, master: MasterProcess
) -> None:
    host = place.enrolled(master, "idn")
    host.configure(HostLine("other", (f"other.{IDN}",)))
    assert f"other.{A_LABEL} (other.{IDN})" in host.sync().refused(REFUSED)
    assert f"other.{A_LABEL} (other.{IDN})" in master.events("wish.refused", "line:other@idn")[0]["text"]
    host.configure(HostLine("www", (IDN,)))

    host.sync().well(CHANGED)

    assert names_of(host.output("fullchain.pem") or b"") == {A_LABEL}
    for shown in (master.command("line", "show", "www@idn"), host.command("status")):
        assert f"{A_LABEL} ({IDN})" in shown.well().out


# --- revoked ---


def test_a_revoked_follower_is_refused_at_its_next_request_and_keeps_what_it_has(
    place: Bed, master: MasterProcess
) -> None:
    host = place.enrolled(master, "revoked")
    host.configure(HostLine("www", ("revoked.example.test",)))
    host.sync().well(CHANGED)
    serial = master.live_serial("www@revoked") or ""
    master.command("follower", "revoke", "revoked", "--yes").well()

    said = host.sync().refused(REFUSED)

    assert "revoked" in said
    assert_installed(host.tls, serial)


def test_a_daemon_hears_of_its_revocation_while_it_waits(place: Bed, master: MasterProcess) -> None:
    host = place.enrolled(master, "woken")
    host.configure(HostLine("www", ("woken.example.test",)))
    host.start()
    eventually(lambda: host.output("fullchain.pem"), 20, "the certificate on the host")

    master.command("follower", "revoke", "woken", "--yes").well()

    eventually(lambda: "revoked" in host.log_file.read_text(), 5, "the daemon hears of it")
    assert host.output("fullchain.pem")
