"""The strings of hosts that enrol without a token, and the fingerprint that people compare."""

from dataclasses import replace

import pytest

from certline_shared import carried, codec, introduction, sealing, signing
from certline_shared.introduction import BadString, HostKeys, JoinString

KEYS = HostKeys(signing.generate_identity()[1], sealing.generate()[1])
MASTER = signing.generate_identity()[1]
JOIN = JoinString(
    "https://master.example:8443", "0b9f", "web-7", introduction.thumbprint(KEYS), "pin", ("ab" * 32,), (MASTER,), 1
)
CODE = b"1234567"


def test_the_keys_of_a_host_come_back_from_their_string() -> None:
    assert introduction.keys_of(introduction.keys_text(KEYS) + "\n") == KEYS


def test_a_join_string_comes_back_and_holds_no_private_key() -> None:
    assert introduction.join_of(introduction.join_text(JOIN)) == JOIN


@pytest.mark.parametrize("read", [introduction.keys_of, introduction.join_of])
def test_something_else_is_no_such_string(read: "type[str]") -> None:
    with pytest.raises(BadString, match="not a"):
        read("hello")


def test_a_cut_string_is_noticed() -> None:
    with pytest.raises(BadString, match="cut or changed"):
        introduction.keys_of(introduction.keys_text(KEYS)[:-3])


def test_a_string_of_another_version_says_so() -> None:
    with pytest.raises(BadString, match="another version"):
        introduction.join_of("certline-join-2.abc")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (replace(KEYS, sealing_suite="rot13"), "fitting releases"),
        (replace(KEYS, identity_key=b"short"), "identity key"),
        (replace(KEYS, sealing_key=b"short"), "public sealing key"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(keys: HostKeys, why: str) -> None:
    with pytest.raises(BadString, match=why):
        introduction.keys_of(introduction.keys_text(keys))


@pytest.mark.parametrize(
    ("join", "why"),
    [
        (replace(JOIN, origin="http://master.example"), "origin"),
        (replace(JOIN, trust="pin", tls_pins=()), "trust"),
        (replace(JOIN, tls_pins=("xy",)), "pin"),
        (replace(JOIN, signing_keys=()), "signing key"),
    ],
)
def test_a_join_string_that_cannot_be_used_is_refused(join: JoinString, why: str) -> None:
    with pytest.raises(BadString, match=why):
        introduction.join_of(introduction.join_text(join))


def test_a_join_string_of_another_shape_is_refused() -> None:
    text = carried.to_text(introduction.JOIN_PREFIX, codec.canonical({"origin": 1}))
    with pytest.raises(BadString, match="something else"):
        introduction.join_of(text)


def test_the_fingerprint_changes_with_each_of_the_three_keys() -> None:
    other = signing.generate_identity()[1]
    prints = {
        introduction.fingerprint(KEYS.identity_key, KEYS.sealing_key, MASTER),
        introduction.fingerprint(other, KEYS.sealing_key, MASTER),
        introduction.fingerprint(KEYS.identity_key, sealing.generate()[1], MASTER),
        introduction.fingerprint(KEYS.identity_key, KEYS.sealing_key, other),
    }
    assert len(prints) == 4


def test_what_is_typed_may_have_small_letters_and_blanks() -> None:
    print_ = introduction.fingerprint(KEYS.identity_key, KEYS.sealing_key, MASTER)
    shown = introduction.shown(print_, CODE)
    assert introduction.typed(f" {shown.lower().replace('-', ' ')}\n") == (print_, introduction.code_text(CODE))


def test_a_fingerprint_without_the_code_that_only_the_host_shows_is_refused() -> None:
    print_ = introduction.fingerprint(KEYS.identity_key, KEYS.sealing_key, MASTER)
    with pytest.raises(BadString, match="only the host shows them"):
        introduction.typed(print_)


@pytest.mark.parametrize("text", ["", "AAAAA", "1" * 50, "ÄAAAA-" * 10])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(BadString, match="not a fingerprint"):
        introduction.typed(text)


def test_an_approval_is_for_one_code_one_fingerprint_and_one_follower() -> None:
    approvals = {
        introduction.approval("A", "P", "f"),
        introduction.approval("B", "P", "f"),
        introduction.approval("A", "Q", "f"),
        introduction.approval("A", "P", "g"),
    }
    assert len(approvals) == 4
