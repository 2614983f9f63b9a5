"""What a host's request asks for beside its names, and requests that were made elsewhere."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower.held import Subject
from certline_follower.settings import LineSettings
from certline_follower.state import Asked, HeldLine, Retry
from certline_follower.steps import request
from certline_follower.wishes import Ask, MakeKey, Wanted, wish_of
from certline_shared.keys import KeyType, generate, read_csr
from certline_shared.manifest import CsrWanted, Manifest, ManifestLine
from certline_shared.messages import time_text
from tests.unit.follower.makers import NOW, line

NAMES = ("shop.example.org", "www.example.org")
EC = "ecdsa-p256"
PIN = "aa" * 32
LATER = Retry(1, time_text(NOW + timedelta(hours=1)), "")
HELD = HeldLine(keys={EC: PIN}, asked=Asked(NAMES, {EC: PIN}, LATER))
OFFERED = ManifestLine("shop", NAMES, (EC,), (), 1, (), {EC: PIN}, None)
LACKING = replace(OFFERED, csr_wanted=(CsrWanted(EC),))


def wished(offered: ManifestLine, held: HeldLine = HELD, settings: LineSettings | None = None) -> Wanted:
    manifest = Manifest("me", 1, 1, time_text(NOW), time_text(NOW), (), (), (), (offered,))
    return wish_of(settings or line("shop"), offered, held, manifest, NOW)


def test_a_host_asks_anew_where_the_master_lacks_a_request_with_another_common_name() -> None:
    (step,) = wished(replace(LACKING, common_name=NAMES[1])).steps

    assert isinstance(step, Ask)
    assert step.subject == Subject(NAMES[1])
    assert step.reason == "what its request is to ask for changed"


def test_a_common_name_that_the_master_does_not_ask_for_makes_no_new_request() -> None:
    assert wished(replace(OFFERED, common_name=NAMES[1])).steps == ()


def test_what_was_asked_for_is_not_asked_for_again_at_once() -> None:
    held = replace(HELD, asked=Asked(NAMES, {EC: PIN}, LATER, subject=Subject(NAMES[1], must_staple=True)))

    assert wished(replace(LACKING, common_name=NAMES[1], must_staple=True), held).steps == ()


@pytest.mark.parametrize(
    ("subject", "common_name"),
    [(Subject(), None), (Subject(NAMES[1]), NAMES[1]), (Subject("former.example.org"), None)],
    ids=["none", "one of the names", "not one of them any more"],
)
def test_the_common_name_is_put_only_where_it_is_asked_for_and_is_a_name(
    subject: Subject, common_name: str | None
) -> None:
    assert read_csr(request(generate(KeyType.ECDSA_P256), NAMES, subject)).common_name == common_name


def test_must_staple_is_put_only_where_it_is_asked_for() -> None:
    key = generate(KeyType.ECDSA_P256)

    assert read_csr(request(key, NAMES, Subject(must_staple=True))).must_staple
    assert not read_csr(request(key, NAMES, Subject())).must_staple


GIVEN = replace(OFFERED, request_given=True)


def test_where_the_request_was_made_elsewhere_its_key_is_read_and_none_is_made_or_asked_for() -> None:
    with_key = replace(line("shop"), key_file=Path("/etc/shop.key"))

    assert wished(GIVEN, HeldLine(), with_key).steps == (MakeKey("shop", EC, "its key is read"),)
    assert wished(GIVEN, HELD, with_key).steps == ()


def test_where_the_request_was_made_elsewhere_and_the_key_is_not_named_that_is_told() -> None:
    found = wished(GIVEN, HeldLine())

    assert found.steps == ()
    assert "name the file of its key with `key_file`" in found.notes[0]
