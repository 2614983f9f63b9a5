"""Bodies on the wire: canonical out, strict in, and errors that name the member."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_shared import messages
from certline_shared.messages import BadMessage, DeploymentReport, LineWish, Problem, Report, VersionContent

REPORT = Report(
    "certline-follower 0.1.0", 7, (DeploymentReport("shop", 3, "served"), DeploymentReport("é", 1, "x", "no"))
)
BODY = (
    '{"agent":"certline-follower 0.1.0","deployments":[{"line":"shop","state":"served","version":3},'
    '{"error":"no","line":"é","state":"x","version":1}],"manifest_serial":7}'
).encode()


def refused(kind: type, body: bytes) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        messages.decode(kind, body)
    return caught.value


def test_a_body_is_canonical_sorted_without_spaces_in_utf_8() -> None:
    assert messages.encode(REPORT) == BODY
    assert messages.decode(Report, BODY) == REPORT


def test_what_is_none_or_empty_by_default_is_left_out() -> None:
    assert messages.encode(LineWish(None)) == b"{}"
    assert messages.decode(LineWish, b"{}") == LineWish(None)
    assert messages.encode(LineWish(())) == b'{"names":[]}'
    assert messages.decode(LineWish, b'{"names":null}') == LineWish(None)


def test_bytes_travel_as_base64url_without_padding() -> None:
    wish = LineWish(("a.example",), {"ecdsa-p256": b"\xff\xfe\xfd\xfc"})
    assert messages.encode(wish) == b'{"csrs":{"ecdsa-p256":"__79_A"},"names":["a.example"]}'
    assert messages.decode(LineWish, messages.encode(wish)) == wish


def test_a_member_can_be_left_out_for_its_own_mac() -> None:
    answer = messages.EnrolAnswer("f-1", "web-7", (b"k",), ("a",), 1, "t", "n", 1, b"mac")
    without = messages.encode(answer, without=("mac",))
    assert b"mac" not in without
    assert messages.canonical(messages.encode(answer), without=("mac",)) == without


def test_the_canonical_form_of_a_received_object_keeps_its_unknown_members() -> None:
    assert messages.canonical(b'{ "z": 1, "mac": "x", "a": {"c": 2, "b": "\\u00e9"} }', without=("mac",)) == (
        '{"a":{"b":"é","c":2},"z":1}'.encode()
    )
    with pytest.raises(BadMessage, match="an object as the whole body"):
        messages.canonical(b"[]")


def test_an_unknown_member_is_ignored_unless_it_is_marked_critical() -> None:
    assert messages.decode(LineWish, b'{"names":["a"],"colour":"red"}') == LineWish(("a",))
    assert messages.decode(LineWish, b'{"names":["a"],"crit":["names"]}') == LineWish(("a",))
    critical = refused(LineWish, b'{"names":["a"],"colour":"red","crit":["colour"]}')
    assert str(critical) == "/crit: lists 'colour', which is unknown here: this side is too old"
    inner = b'{"agent":"a","manifest_serial":1,"deployments":[{"line":"l","version":1,"state":"s","crit":["x"]}]}'
    assert refused(Report, inner).pointer == "/deployments/0/crit"


@pytest.mark.parametrize(
    ("body", "pointer", "why"),
    [
        (b'{"agent":"a","deployments":[]}', "/manifest_serial", "this member is missing"),
        (b'{"agent":5,"manifest_serial":1,"deployments":[]}', "/agent", "expected a string, found a whole number"),
        (b'{"agent":null,"manifest_serial":1,"deployments":[]}', "/agent", "expected a string, found null"),
        (b'{"agent":"a","manifest_serial":"1","deployments":[]}', "/manifest_serial", "whole number, found a string"),
        (b'{"agent":"a","manifest_serial":1.0,"deployments":[]}', "/manifest_serial", "whole number, found a fraction"),
        (b'{"agent":"a","manifest_serial":true,"deployments":[]}', "/manifest_serial", "found true or false"),
        (b'{"agent":"a","manifest_serial":1,"deployments":{}}', "/deployments", "expected an array, found an object"),
        (b'{"agent":"a","manifest_serial":1,"deployments":[[]]}', "/deployments/0", "expected an object"),
        (
            b'{"agent":"a","manifest_serial":1,"deployments":[{"line":"l","version":1,"state":[]}]}',
            "/deployments/0/state",
            "expected a string, found an array",
        ),
        (b"[]", "", "expected an object as the whole body, found an array"),
        (b'"x"', "", "expected an object as the whole body, found a string"),
    ],
)
def test_a_member_of_the_wrong_shape_is_named_by_its_pointer(body: bytes, pointer: str, why: str) -> None:
    error = refused(Report, body)
    assert error.pointer == pointer
    assert why in error.detail
    assert str(error) == (f"{pointer}: {error.detail}" if pointer else error.detail)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{'names':[]}", "not JSON"),
        (b'{"names":["a\n"]}', "not JSON"),
        (b'{"names":["\xff"]}', "not valid UTF-8"),
        (b'{"names":["\xed\xa0\x80"]}', "not valid UTF-8"),
        (b'{"names":["\\ud800"]}', "not valid UTF-8"),
        (b'{"ignored":{"\\udfff":1}}', "not valid UTF-8"),
        (b'{"names":[],"names":["b"]}', "'names' stands twice"),
        (b'{"ignored":{"a":1,"a":1}}', "'a' stands twice"),
        (b'{"ignored":NaN}', "NaN is no JSON number"),
        (b'{"ignored":-Infinity}', "-Infinity is no JSON number"),
        (b'{"ignored":1e999}', "beyond"),
        (b'{"ignored":9007199254740992}', "beyond"),
        (b'{"ignored":-9007199254740992}', "beyond"),
        (b'{"ignored":' + b"9" * 60_000 + b"}", "beyond"),
        (b'{"ignored":0.' + b"1" * 60_000 + b"}", "too many digits"),
        (b'{"ignored":' + b"[" * 20 + b"]" * 20 + b"}", "deeper than 20"),
        (b'{"a":' * 21 + b"1" + b"}" * 21, "deeper than 20"),
        (b"[" * 60_000, "deeper than 20"),
        (b'{"names":["' + b"a" * 65_536 + b'"]}', "at most 65536"),
    ],
)
def test_what_is_not_strict_json_is_refused_wherever_it_stands(body: bytes, why: str) -> None:
    assert why in str(refused(LineWish, body))


def test_the_limits_themselves_are_taken() -> None:
    deepest = b'{"ignored":' + b"[" * 19 + b"]" * 19 + b"}"
    assert messages.decode(LineWish, deepest) == LineWish(None)
    largest = b'{"ignored":9007199254740991,"pair":"\\ud83d\\ude00"}'
    assert messages.decode(LineWish, largest.ljust(messages.MOST_BODY_BYTES)) == LineWish(None)


def test_the_content_of_a_version_may_be_larger_than_a_request() -> None:
    content = VersionContent("shop", 3, {"ecdsa-p256/chain.pem": "x" * 200_000})
    assert messages.decode(VersionContent, messages.encode(content)) == content


@pytest.mark.parametrize("text", ["AA==", "A", "+/8", "AB", "A A", "é"])
def test_bytes_in_any_other_spelling_are_refused(text: str) -> None:
    error = refused(LineWish, f'{{"csrs":{{"a/b~c":"{text}"}}}}'.encode())
    assert str(error) == "/csrs/a~1b~0c: expected bytes as base64url without padding"


def test_a_problem_document_is_a_message_like_the_others() -> None:
    problem = Problem(
        "urn:certline:problem:not-granted",
        "Not granted",
        403,
        "x.example has no grant",
        errors=({"field": "/names/0", "detail": "no grant"},),
        names=("x.example",),
    )
    assert messages.decode(Problem, messages.encode(problem)) == problem


_REPORTS = st.builds(
    Report,
    st.text(),
    st.integers(min_value=0, max_value=2**53 - 1),
    st.lists(
        st.builds(DeploymentReport, st.text(), st.integers(0, 9), st.text(), st.none() | st.text(min_size=1)),
        max_size=5,
    ).map(tuple),
)


@given(_REPORTS)
def test_what_is_written_reads_back_the_same_and_writes_the_same(report: Report) -> None:
    body = messages.encode(report)
    assert messages.decode(Report, body) == report
    assert messages.encode(messages.decode(Report, body)) == body


@given(st.binary(max_size=200))
def test_no_body_is_answered_with_anything_but_a_message_or_a_refusal(body: bytes) -> None:
    try:
        messages.decode(LineWish, body)
    except BadMessage:
        return
    assert body.strip().startswith(b"{")


def test_a_time_travels_in_utc_and_whole_seconds() -> None:
    east = datetime(2026, 11, 20, 13, 0, 0, 999_999, timezone(timedelta(hours=1)))
    assert messages.time_text(east) == "2026-11-20T12:00:00Z"
    assert messages.read_time("2026-11-20T12:00:00Z") == datetime(2026, 11, 20, 12, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        messages.time_text(datetime(2026, 11, 20, 12))  # noqa: DTZ001 the point


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-20", "2026-11-20T12:00:00", "2026-11-20T12:00:00+00:00", "2026-1-2T3:4:5Z", "2026-02-30T00:00:00Z"],
)
def test_a_time_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(BadMessage, match="expected a time like"):
        messages.read_time(text)
