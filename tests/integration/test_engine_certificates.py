"""What the engine has issued for a line's wish: by key type, with what subject, and when anew."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaRefused
from certline_master.domain.model import (
    Custody,
    FailureClass,
    Grant,
    GrantKind,
    Line,
    LineOptions,
    Owner,
    Version,
    VersionState,
)
from certline_shared.certificates import read_traits
from certline_shared.keys import KeyType, generate, key_type_of
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store

NAMES = ("shop.example.com", "www.shop.example.com")
RSA, EC = KeyType.RSA_2048, KeyType.ECDSA_P256
MOMENT = timedelta(minutes=5)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    grants = [Grant(GrantKind.REQUEST, name) for name in NAMES]
    store.write(lambda records: records.followers.set_grants(SYSTEM, "follower", grants))
    yield made
    store.close()


def line_of(engine: Engine) -> Line:
    with engine.store.read() as records:
        return records.lines.by_id(SYSTEM, "line-shop")


def want(engine: Engine, **fields: object) -> None:
    line = Line("line-shop", "shop", Owner.FILE, None, NAMES, custody=Custody.MASTER, next_look=engine.clock.now())
    made = replace(line, **fields)  # type: ignore[arg-type]  # fields of a Line
    engine.store.write(lambda records: records.lines.save(SYSTEM, made))
    engine.run(MOMENT)


def change(engine: Engine, **fields: object) -> None:
    changed = replace(line_of(engine), next_look=engine.clock.now(), **fields)  # type: ignore[arg-type]  # of a Line
    engine.store.write(lambda records: records.lines.save(SYSTEM, changed))
    engine.run(MOMENT)


def live(engine: Engine) -> Version:
    return engine.live("shop") or pytest.fail("nothing is live")


def leaves(version: Version) -> dict[KeyType, x509.Certificate]:
    found = (x509.load_pem_x509_certificate((one.chain or "").encode()) for one in version.certificates)
    return {key_type_of(leaf.public_key()): leaf for leaf in found}


# --- key types ---


@pytest.mark.parametrize(
    "key_types",
    [(RSA, EC), (KeyType.ECDSA_P521,), (KeyType.RSA_3072, KeyType.ECDSA_P384)],
    ids=["RSA and ECDSA", "P-521", "larger ones"],
)
def test_each_key_type_has_its_own_order_and_certificate_in_one_version(
    engine: Engine, key_types: tuple[KeyType, ...]
) -> None:
    """2.1 line 24: and no certificate of another type."""
    want(engine, key_types=key_types)

    assert set(leaves(live(engine))) == set(key_types)
    assert live(engine).number == 1
    assert len(engine.ca.issued) == len(key_types)


def test_of_two_key_types_both_are_live_or_none(engine: Engine) -> None:
    want(engine, key_types=(RSA, EC))
    before = leaves(live(engine))
    engine.ca.fail("finalize", CaRefused("badCSR", "not this key", FailureClass.FIX_CONFIGURATION))

    change(engine, forced=True)

    assert [one.state for one in engine.versions("shop")] == [VersionState.FAILED, VersionState.LIVE]
    assert leaves(live(engine)) == before


def test_a_further_key_type_makes_a_new_version_and_one_less_does_too(engine: Engine) -> None:
    want(engine)
    change(engine, key_types=(RSA, EC))
    assert set(leaves(live(engine))) == {RSA, EC}

    change(engine, key_types=(RSA,))

    assert set(leaves(live(engine))) == {RSA}
    assert live(engine).number == 3


# --- the subject, Must-Staple ---


def request(version: Version) -> x509.CertificateSigningRequest:
    return x509.load_der_x509_csr(version.certificates[0].csr)


def asks_staple(version: Version) -> bool:
    return any(isinstance(one.value, x509.TLSFeature) for one in request(version).extensions)


def test_the_request_has_the_first_name_as_its_common_name_unless_another_is_wished(engine: Engine) -> None:
    """2.0 line 3."""
    want(engine)
    assert request(live(engine)).subject.rfc4514_string() == f"CN={NAMES[0]}"

    change(engine, options=LineOptions(common_name=NAMES[1]))

    assert request(live(engine)).subject.rfc4514_string() == f"CN={NAMES[1]}"
    assert live(engine).reason == "the common name or Must-Staple changed"


def test_must_staple_is_asked_for_where_the_line_wishes_it_and_no_longer_when_not(engine: Engine) -> None:
    """2.0 line 27, 2.1 line 22: per line, and a changed wish issues anew whatever the age."""
    want(engine)
    change(engine, options=LineOptions(must_staple=True))
    assert asks_staple(live(engine))
    assert live(engine).number == 2

    change(engine, options=LineOptions())

    assert live(engine).number == 3
    assert not asks_staple(live(engine))


def test_what_the_ca_left_out_is_told(engine: Engine) -> None:
    """Section 4 line 13: looked at before the version is live; the fake CA gives neither."""
    want(engine, options=LineOptions(must_staple=True, common_name=NAMES[0]))

    texts = [event.text for event in engine.events("certificate.unlike")]

    assert live(engine).number == 1
    assert any("no Must-Staple" in text for text in texts)
    assert any(f"its common name is left out, not {NAMES[0]}" in text for text in texts)


def test_a_certificate_that_is_not_good_for_clients_does_not_become_live_where_it_must_serve_for_them(
    engine: Engine,
) -> None:
    """Section 4 line 13."""
    engine.ca.for_servers_only = True

    want(engine, options=LineOptions(purposes=("server", "client")))

    assert engine.live("shop") is None
    (event,) = engine.events("order.failed")
    assert "no client-auth EKU" in event.text


def test_what_a_leaf_is_good_for_is_read_from_it(engine: Engine) -> None:
    want(engine)
    assert read_traits(live(engine).certificates[0].chain or "").for_clients
    engine.ca.for_servers_only = True
    change(engine, forced=True)
    assert not read_traits(live(engine).certificates[0].chain or "").for_clients


# --- when it is issued anew ---


def test_another_wish_issues_anew_whatever_the_age_and_the_same_one_in_other_words_does_not(engine: Engine) -> None:
    """2.1 line 22, 2.0 line 6."""
    want(engine)
    change(engine, names=NAMES[::-1])
    assert live(engine).number == 1

    change(engine, names=NAMES[:1])

    assert (live(engine).number, live(engine).reason) == (2, f"the names changed: -{NAMES[1]}")


def test_another_profile_or_another_issuer_issues_anew(engine: Engine) -> None:
    want(engine)
    change(engine, profile="shortlived")
    assert live(engine).reason == "the profile changed"

    with engine.store.read() as records:
        issuer = records.issuers.get(SYSTEM, "ca")
    other = replace(issuer, id="other", name="other", directory_url="https://other.example/dir", is_default=False)
    engine.store.write(lambda records: records.issuers.save(SYSTEM, other))
    change(engine, issuer_id="other")

    assert live(engine).reason == "the issuer changed"
    assert live(engine).number == 3


def test_a_line_is_renewed_at_the_age_that_it_says(engine: Engine) -> None:
    """2.0 line 9: at eight days it was renewed, at six it was not."""
    want(engine, options=LineOptions(renew_after="7d", renew_before="60d"))
    engine.run(timedelta(days=6))
    assert live(engine).number == 1

    engine.run(timedelta(days=2))

    assert live(engine).number == 2
    assert live(engine).reason == "renewal: it is 7d old then"


def test_a_line_is_renewed_so_long_before_its_end_as_it_says(engine: Engine) -> None:
    """2.1 line 21: with 29 days left it was renewed, with 31 it was not."""
    engine.ca.has_renewal_info = False
    want(engine, options=LineOptions(renew_before="30d"))
    ends = live(engine).certificates[0].not_after or pytest.fail("it ends")
    engine.run(ends - timedelta(days=31) - engine.clock.now())
    assert live(engine).number == 1

    engine.run(timedelta(days=2))

    assert live(engine).number == 2


# --- what the host asks for ---


def test_a_host_that_cannot_ask_for_the_common_name_keeps_what_it_has_and_is_renewed(engine: Engine) -> None:
    engine.want("shop", NAMES, generate(EC))
    engine.run(MOMENT)
    assert live(engine).number == 1

    change(engine, options=LineOptions(common_name=NAMES[1]))
    assert live(engine).number == 1

    change(engine, forced=True)
    assert live(engine).number == 2
