"""What a CA's errors and its Retry-After come to."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certline_master.ca.problems import (
    ServerInternal,
    clean,
    failure_of,
    is_bad_nonce,
    read_object,
    retry_after,
    validation_failure,
)
from certline_master.ca.transport import Answer
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import FailureClass

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
URN = "urn:ietf:params:acme:error:"


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's local time, which must not matter."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("2.5", 2.5),
        ("Fri, 20 Nov 2026 12:00:05 GMT", 5),
        ("Friday, 20-Nov-26 12:00:05 GMT", 5),
        ("Fri Nov 20 12:00:05 2026", 5),
        ("Fri, 20 Nov 2026 13:00:05 +0100", 5),
        ("Fri, 20 Nov 2026 11:59:00 GMT", 1),
        ("0", 1),
        ("-7", 1),
        ("1e9", 86_400),
        ("999999999999", 86_400),
        ("9" * 400, 86_400),
        ("inf", 86_400),
        ("-inf", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 1),
    ],
)
def test_retry_after_is_read_in_each_form_and_held_within_a_second_and_a_day(text: str, seconds: float) -> None:
    """Case 31, D2: the library waits for hours in New York and not at all in Tokyo."""
    assert retry_after(_answer(503, after=text), NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "nan", "Fri, 99 Nov 2026 12:00:05 GMT", "5 seconds", "0x10", "\0",
     "Fri, 20 Nov 2026 12:00:05 +9999", "Fri, 20 Nov 99999 12:00:05 GMT"],
)  # fmt: skip
def test_a_retry_after_that_is_none_is_as_if_it_were_not_there(text: str) -> None:
    assert retry_after(_answer(503, after=text), NOW) is None


def test_without_retry_after_there_is_no_time() -> None:
    assert retry_after(_answer(503), NOW) is None


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("rateLimited", FailureClass.RETRY_AT),
        ("rejectedIdentifier", FailureClass.FIX_CONFIGURATION),
        ("unsupportedIdentifier", FailureClass.FIX_CONFIGURATION),
        ("caa", FailureClass.FIX_CONFIGURATION),
        ("invalidProfile", FailureClass.FIX_CONFIGURATION),
        ("malformed", FailureClass.FIX_CONFIGURATION),
        ("badCSR", FailureClass.FIX_CONFIGURATION),
        ("externalAccountRequired", FailureClass.FIX_CONFIGURATION),
        ("userActionRequired", FailureClass.NEEDS_PERSON),
        ("unauthorized", FailureClass.NEEDS_PERSON),
        ("accountDoesNotExist", FailureClass.NEEDS_PERSON),
        ("orderNotReady", FailureClass.RETRY_SOON),
        ("dns", FailureClass.RETRY_SOON),
        ("connection", FailureClass.RETRY_SOON),
        ("tls", FailureClass.RETRY_SOON),
        ("neverHeardOf", FailureClass.RETRY_SOON),
    ],
)
def test_each_type_says_who_has_to_act(kind: str, failure: FailureClass) -> None:
    refused = failure_of(_problem(400, kind), NOW)
    assert isinstance(refused, CaRefused)
    assert (refused.type, refused.failure, refused.status) == (kind, failure, 400)


@pytest.mark.parametrize("kind", ["unauthorized", "dns", "connection", "tls", "incorrectResponse"])
def test_a_proof_that_was_not_found_is_tried_again(kind: str) -> None:
    """Inside a challenge `unauthorized` is no verdict on the account."""
    refused = validation_failure({"type": URN + kind, "detail": "no TXT"}, NOW)
    assert (refused.type, refused.failure, refused.detail) == (kind, FailureClass.RETRY_SOON, "no TXT")


def test_a_validation_that_caa_forbids_is_for_the_configuration_to_fix() -> None:
    assert validation_failure({"type": URN + "caa"}, NOW).failure is FailureClass.FIX_CONFIGURATION


def test_a_rate_limit_without_a_time_is_taken_to_last_an_hour() -> None:
    for answer in (_problem(429, "rateLimited"), _answer(429), _problem(503, "rateLimited")):
        refused = failure_of(answer, NOW)
        assert isinstance(refused, CaRefused)
        assert (refused.failure, refused.retry_at) == (FailureClass.RETRY_AT, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("Visit https://portal.ca.example/sfe/v1/unpause?jwt=x", FailureClass.NEEDS_PERSON),
        ("the identifier a.example is paused", FailureClass.NEEDS_PERSON),
        ("too many certificates: see https://ca.example/docs/rate-limits", FailureClass.RETRY_AT),
    ],
)
def test_a_rate_limit_is_a_pause_only_when_a_person_can_end_it(text: str, failure: FailureClass) -> None:
    """Case 36: ordinary rate limits hold a link too."""
    assert failure_of(_problem(429, "rateLimited", detail=text), NOW).failure is failure


@pytest.mark.parametrize("status", [500, 502, 503, 404, 403, 400])
def test_an_answer_that_is_no_problem_document_is_no_answer(status: int) -> None:
    for body in (b"<html>", b"", b"[]", b'"x"', b"{}", b'{"type": 5}', b"\xff", b"[" * 50_000):
        fault = failure_of(Answer(status, (("retry-after", "60"),), body), NOW)
        assert isinstance(fault, CaUnreachable)
        assert (fault.retry_at, fault.failure) == (NOW + timedelta(minutes=1), FailureClass.RETRY_SOON)


def test_a_ca_that_failed_itself_is_unreachable_and_told_apart() -> None:
    assert isinstance(failure_of(_problem(500, "serverInternal"), NOW), ServerInternal)
    other = failure_of(_problem(503, "somethingElse"), NOW)
    assert isinstance(other, CaUnreachable)
    assert not isinstance(other, ServerInternal)


def test_terms_that_are_not_agreed_to_are_told_with_their_page() -> None:
    """Case 19."""
    answer = _problem(403, "userActionRequired", instance="https://ca.example/terms/v2")
    assert "https://ca.example/terms/v2" in str(failure_of(answer, NOW))


def test_where_a_key_in_use_belongs_is_kept() -> None:
    answer = Answer(409, (("location", "https://ca.example/account/7"),), _problem(409, "malformed").body)
    refused = failure_of(answer, NOW)
    assert isinstance(refused, CaRefused)
    assert refused.location == "https://ca.example/account/7"


@pytest.mark.parametrize(
    ("kinds", "failure"),
    [
        ([], FailureClass.RETRY_SOON),
        (["dns"], FailureClass.RETRY_SOON),
        (["dns", "rateLimited"], FailureClass.RETRY_AT),
        (["rateLimited", "caa"], FailureClass.FIX_CONFIGURATION),
        (["caa", "userActionRequired"], FailureClass.NEEDS_PERSON),
    ],
)
def test_a_compound_problem_is_as_hard_as_its_hardest_part(kinds: list[str], failure: FailureClass) -> None:
    parts = [{"type": URN + kind, "identifier": {"type": "dns", "value": f"{kind}.example"}} for kind in kinds]
    refused = failure_of(_problem(403, "compound", subproblems=parts), NOW)
    assert isinstance(refused, CaRefused)
    assert refused.failure is failure
    assert [sub.identifier for sub in refused.subproblems] == [f"{kind}.example" for kind in kinds]


@pytest.mark.parametrize("parts", [None, 5, "x", [1, None, "y"], [{}], [{"identifier": 3, "type": 4, "detail": []}]])
def test_subproblems_that_are_none_do_no_harm(parts: object) -> None:
    refused = failure_of(_problem(400, "compound", subproblems=parts), NOW)
    assert refused.failure is FailureClass.RETRY_SOON


def test_what_a_ca_writes_cannot_break_a_line_or_fill_a_log() -> None:
    assert clean("a\r\nb\x1b[31mc\0d\u202ee") == "a b [31mc d e"
    assert len(clean("x" * 10_000)) == 1000
    assert "\n" not in str(failure_of(_problem(400, "mal\nformed", detail="two\nlines"), NOW))


def test_a_redirect_is_told_with_its_target() -> None:
    fault = failure_of(Answer(301, (("location", "https://other.example/dir"),), b""), NOW)
    assert isinstance(fault, CaUnreachable)
    assert "https://other.example/dir" in str(fault)


def test_a_bad_nonce_is_known_by_its_type() -> None:
    assert is_bad_nonce(_problem(400, "badNonce"))
    assert not is_bad_nonce(_problem(400, "malformed"))
    assert not is_bad_nonce(_answer(400))
    assert not is_bad_nonce(_problem(200, "badNonce"))


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"<html>", b"{", b"[" * 100_000, b"\xff\xfe", b"9" * 10_000])
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(CaUnreachable, match="no answer of ACME"):
        read_object(Answer(200, (), body), "order")


def _answer(status: int, *, after: str | None = None) -> Answer:
    headers = () if after is None else (("retry-after", after),)
    return Answer(status, headers, b"")


def _problem(status: int, kind: str, **members: Any) -> Answer:
    return Answer(status, (), json.dumps({"type": URN + kind, "detail": "so it is", **members}).encode())
