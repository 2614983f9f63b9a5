"""The enrolment string is one line that holds all, tells when it is cut, and never shows its secret."""

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certline_shared import codec, enrolment
from certline_shared.enrolment import BadEnrolmentString, EnrolmentString

STRING = EnrolmentString(
    "https://master.example:8443", "t-1", b"0123456789abcdefghijklmnopqrstuv", "pin", ("ab" * 32, "cd" * 32), "ef" * 32,
    datetime(2026, 11, 20, 12, 30, tzinfo=UTC),
)  # fmt: skip


def test_it_is_one_line_and_reads_back_the_same() -> None:
    text = enrolment.to_text(STRING)
    assert text.startswith("certline-enrol-1.")
    assert not set(text) & set(" \n=+/")
    assert enrolment.from_text(f"  {text}\n") == STRING


@pytest.mark.parametrize("origin", ["https://192.0.2.1", "https://[2001:db8::1]:8443", "https://master.example"])
def test_an_origin_may_be_a_name_or_an_address(origin: str) -> None:
    string = replace(STRING, origin=origin, trust="chain", tls_pins=())
    assert enrolment.from_text(enrolment.to_text(string)) == string


def test_a_cut_or_changed_copy_is_noticed_and_the_secret_is_not_repeated() -> None:
    text = enrolment.to_text(STRING)
    middle = len(text) // 2
    changed = text[:middle] + "AAAA" + text[middle + 4 :]
    for copy in (text[:-1], text[:-20], text[:40], changed, text + "A", text + " A"):
        with pytest.raises(BadEnrolmentString, match="cut or changed") as caught:
            enrolment.from_text(copy)
        assert copy[20:36] not in str(caught.value)


def test_something_else_and_another_version_are_told_apart() -> None:
    with pytest.raises(BadEnrolmentString, match="not an enrolment string"):
        enrolment.from_text("hello")
    with pytest.raises(BadEnrolmentString, match="not an enrolment string"):
        enrolment.from_text("")
    with pytest.raises(BadEnrolmentString, match="another version"):
        enrolment.from_text("certline-enrol-2.AAAA")
    with pytest.raises(BadEnrolmentString, match="cut or changed"):
        enrolment.from_text(enrolment.PREFIX + "A" * 1_000_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"origin": "http://master.example"}, "origin"),
        ({"origin": "https://master.example/path"}, "origin"),
        ({"origin": "https://user@master.example"}, "origin"),
        ({"token_id": ""}, "token id"),
        ({"token_id": 'a"b'}, "token id"),
        ({"secret": b"short"}, "secret is not 32 bytes"),
        ({"trust": "none"}, "trust"),
        ({"tls_pins": ()}, "at least one pin"),
        ({"tls_pins": ("AB" * 32,)}, "pin is not 64 hex digits"),
        ({"signing_key_thumbprint": "ef"}, "thumbprint"),
    ],
)
def test_a_string_that_cannot_be_used_is_neither_made_nor_taken(change: dict[str, object], why: str) -> None:
    bent = replace(STRING, **change)  # type: ignore[arg-type]
    with pytest.raises(BadEnrolmentString, match=why):
        enrolment.to_text(bent)
    body = codec.canonical(
        {
            "origin": bent.origin,
            "token_id": bent.token_id,
            "secret": codec.base64url(bent.secret),
            "trust": bent.trust,
            "tls_pins": list(bent.tls_pins),
            "signing_key_thumbprint": bent.signing_key_thumbprint,
            "expires_at": "2026-11-20T12:30:00Z",
        }
    )
    with pytest.raises(BadEnrolmentString, match=why):
        enrolment.from_text(by_hand(body))


def by_hand(body: bytes) -> str:
    whole = hashlib.sha256(body).digest()[:4] + body
    return "certline-enrol-1." + base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def test_a_whole_string_with_something_else_in_it_is_refused() -> None:
    with pytest.raises(BadEnrolmentString, match="holds something else"):
        enrolment.from_text(by_hand(b'{"origin":"https://master.example"}'))
    body = base64.urlsafe_b64decode(enrolment.to_text(STRING).removeprefix(enrolment.PREFIX) + "==")[4:]
    with pytest.raises(BadEnrolmentString, match="expiry is no time"):
        enrolment.from_text(by_hand(body.replace(b"2026-11-20T12:30:00Z", b"soon")))


def test_printing_it_does_not_show_the_secret() -> None:
    for shown in (repr(STRING), str(STRING), f"{STRING}"):
        assert "0123456789" not in shown
        assert "***" in shown


def test_the_mac_key_is_hkdf_sha256_of_the_secret() -> None:
    """RFC 5869 written out: no salt, one block."""
    extracted = hmac.digest(b"\0" * 32, STRING.secret, "sha256")
    assert enrolment.mac_key(STRING.secret) == hmac.digest(extracted, b"certline enrol v1\x01", "sha256")


def test_a_request_mac_is_no_answer_mac() -> None:
    key = enrolment.mac_key(STRING.secret)
    assert enrolment.request_mac(key, b"{}") == hmac.digest(key, b"certline-enrol-request/1\n{}", "sha256")
    assert enrolment.answer_mac(key, b"{}") == hmac.digest(key, b"certline-enrol-answer/1\n{}", "sha256")


def test_a_mac_holds_only_when_it_is_the_same() -> None:
    mac = enrolment.request_mac(b"k" * 32, b"{}")
    assert enrolment.mac_holds(mac, enrolment.request_mac(b"k" * 32, b"{}"))
    assert not enrolment.mac_holds(mac, enrolment.request_mac(b"l" * 32, b"{}"))
    assert not enrolment.mac_holds(mac, b"")
