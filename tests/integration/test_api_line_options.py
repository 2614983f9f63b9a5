"""What a line says beside its names, over real HTTP: planned, warned of, kept, shown, and followed by its host."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_shared.keys import KeyType, PrivateKey, generate, make_csr, spki_sha256
from certline_shared.messages import LineWish, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, changed, faults, plan, short
from tests.integration.api_hosts import opened
from tests.unit.master.requests import in_pem

NAMES = ["shop.example.com", "*.shop.example.com"]
LINE: dict[str, Any] = {"follower": "web-1", "names": NAMES}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        answer = running.apply(FLEET)
        assert answer.status_code == 200, answer.text
        yield running


def with_line(**more: Any) -> dict[str, Any]:
    return changed(lines={"shop": LINE | more})


def settings(bed: Bed) -> dict[str, tuple[Any, str]]:
    found = bed.ask("GET", "/v1/lines/shop").json()["settings"]
    return {one["name"]: (one["value"], one["origin"]) for one in found}


def test_a_plan_shows_an_option_as_a_member_of_the_line_and_apply_keeps_it(bed: Bed) -> None:
    wished = with_line(options={"renew_after": "7d", "inherited": {"renew_after": "defaults"}})

    planned = plan(bed, wished)

    assert short(planned) == ["update line shop"]
    assert planned["changes"][0]["fields"][0] == {"field": "renew_after", "before": None, "after": "7d"}
    assert planned["orders"] == []
    assert bed.apply(wished).status_code == 200
    assert plan(bed, wished)["changes"] == []
    assert settings(bed)["renew_after"] == ("7d", "defaults")
    assert settings(bed)["renew_before"] == (None, "certline")


def test_an_option_made_by_a_single_command_is_the_lines_own(bed: Bed) -> None:
    answer = bed.ask("PUT", "/v1/lines/own", LINE | {"options": {"renew_before": "30d"}})
    assert answer.status_code == 200, answer.text

    found = bed.ask("GET", "/v1/lines/own").json()["settings"]

    assert {"name": "renew_before", "value": "30d", "origin": "line"} in found


@pytest.mark.parametrize(
    ("options", "place", "detail"),
    [
        ({"renew_before": "a month"}, "/lines/shop/options/renew_before", "is not a duration"),
        ({"common_name": "mail.example.com"}, "/lines/shop/options/common_name", "is not among the names"),
        ({"colour": "red"}, "/lines/shop/options/colour", "unknown member"),
        ({"must_staple": "yes"}, "/lines/shop/options/must_staple", "bool"),
    ],
)
def test_an_option_with_a_fault_is_refused_by_its_place(
    bed: Bed, options: dict[str, Any], place: str, detail: str
) -> None:
    assert detail in faults(bed, with_line(options=options))[place]


def test_a_plan_and_what_it_did_tell_the_same_warnings_and_nothing_stops(bed: Bed) -> None:
    wished = with_line(options={"renew_before": "90%"})

    planned = plan(bed, wished)

    assert [one["field"] for one in planned["warnings"]] == ["/lines/shop/renew_before"]
    assert bed.apply(wished).json()["warnings"] == planned["warnings"]
    alone = bed.ask("PUT", "/v1/lines/own", LINE | {"options": {"renew_before": "90%"}}).json()
    assert [one["field"] for one in alone["warnings"]] == ["/renew_before"]


def test_a_time_before_the_end_is_judged_by_how_long_the_lines_certificates_really_live(bed: Bed) -> None:
    wished = with_line(options={"renew_before": "50d"})
    assert plan(bed, wished)["warnings"] == []  # nothing is issued yet, and nothing is known of this CA
    host = bed.enrolled("web-1")
    host.wish("shop", *NAMES)
    bed.engine.run(timedelta(minutes=1))

    (warning,) = plan(bed, wished)["warnings"]

    assert warning["detail"] == "its certificates live for 90 days: half of it (45 days) is meant then"


def test_an_issuers_other_profile_orders_for_its_lines(bed: Bed) -> None:
    issuer = FLEET["issuers"]["ca"]

    planned = plan(bed, changed(issuers={"ca": issuer | {"profile": "shortlived"}}))

    assert [(one["line"], one["reason"]) for one in planned["orders"]] == [("shop", "the profile changed")]


# --- several key types ---


def wish(host: Any, keys: list[PrivateKey], names: tuple[str, ...]) -> Any:
    csrs = {kind: make_csr(key, names) for key, kind in zip(keys, ("rsa-2048", "ecdsa-p256"), strict=True)}
    return host.ask("PUT", "/v1/follower/lines/shop", encode(LineWish(None, csrs)))


def test_a_host_asks_for_two_key_types_and_gets_both_in_one_version(bed: Bed) -> None:
    bed.apply(with_line(key_types=["rsa-2048", "ecdsa-p256"]))
    host = bed.enrolled("web-1")
    assert [one.key_type for one in opened(host).lines[0].csr_wanted] == ["rsa-2048", "ecdsa-p256"]
    keys = [generate(KeyType.RSA_2048), generate(KeyType.ECDSA_P256)]

    answer = wish(host, keys, tuple(NAMES))
    bed.engine.run(timedelta(minutes=1))

    assert answer.status_code == 200, answer.text
    (line,) = opened(host).lines
    assert line.spki_sha256 == {"rsa-2048": spki_sha256(keys[0]), "ecdsa-p256": spki_sha256(keys[1])}
    assert {file.name for file in line.files} == {"rsa-2048/chain.pem", "ecdsa-p256/chain.pem"}


# --- requests made elsewhere ---


def test_a_line_is_issued_for_the_request_that_the_operator_gives(bed: Bed) -> None:
    """2.2 line 1: the names are the request's, and the private key is nowhere here."""
    key = generate(KeyType.ECDSA_P256)
    given = in_pem(make_csr(key, tuple(NAMES), common_name=NAMES[0]))

    assert bed.apply(with_line(csr=[given])).status_code == 200
    host = bed.enrolled("web-1")
    bed.engine.run(timedelta(minutes=1))

    (line,) = opened(host).lines
    assert (line.version, line.csr_wanted, line.request_given) == (1, (), True)
    assert line.spki_sha256 == {"ecdsa-p256": spki_sha256(key)}
    assert plan(bed, with_line(csr=[given]))["changes"] == []


def test_a_host_sends_no_request_where_the_operator_gave_one(bed: Bed) -> None:
    bed.apply(with_line(csr=[in_pem(make_csr(generate(KeyType.ECDSA_P256), tuple(NAMES)))]))
    host = bed.enrolled("web-1")

    answer = host.wish("shop", *NAMES)

    assert answer.status_code == 409
    assert "the operator gave the request of shop" in answer.text


def test_another_request_in_its_place_issues_anew(bed: Bed) -> None:
    first, second = (in_pem(make_csr(generate(KeyType.ECDSA_P256), tuple(NAMES))) for _ in range(2))
    bed.apply(with_line(csr=[first]))
    host = bed.enrolled("web-1")
    bed.engine.run(timedelta(minutes=1))

    assert plan(bed, with_line(csr=[second]))["orders"][0]["reason"] == "the request changed"
    bed.apply(with_line(csr=[second]))
    bed.engine.run(timedelta(minutes=1))

    assert opened(host).lines[0].version == 2


@pytest.mark.parametrize(
    ("key_type", "names", "detail"),
    [
        (KeyType.ECDSA_P256, ("a.example.com",), "the request is for a.example.com, the line for"),
        (KeyType.RSA_2048, tuple(NAMES), "list it under `key_types`"),
    ],
)
def test_a_request_for_something_else_is_refused(
    bed: Bed, key_type: KeyType, names: tuple[str, ...], detail: str
) -> None:
    given = in_pem(make_csr(generate(key_type), names))

    assert detail in faults(bed, with_line(csr=[given]))["/lines/shop/csr/0"]
