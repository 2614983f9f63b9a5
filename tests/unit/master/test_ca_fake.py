"""The fake CA behaves as it is set: what the engine's tests rely on beyond the contract."""

from datetime import timedelta

import pytest

from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import Issuer, Owner
from certline_master.domain.ports import CertificateAuthority, OrderView
from certline_shared import keys
from certline_shared.certificates import ari_certificate_id
from tests.fakes.ca import BASE_URL, FakeAuthorities, FakeCa
from tests.fakes.clock import FakeClock

NAME = "a.example.org"
ISSUER = Issuer("1", "fake", Owner.FILE, f"{BASE_URL}/directory")


@pytest.fixture
def server() -> FakeCa:
    return FakeCa(FakeClock())


@pytest.fixture
def ca(server: FakeCa) -> CertificateAuthority:
    authorities = FakeAuthorities(server)
    made = authorities.of(ISSUER, authorities.new_account_key())
    made.register(())
    return made


def test_a_fault_strikes_as_often_as_it_was_told(server: FakeCa, ca: CertificateAuthority) -> None:
    server.fail("newOrder", CaUnreachable("down"), times=2)
    for _ in range(2):
        with pytest.raises(CaUnreachable):
            _open(ca)
    assert _open(ca).status == "pending"
    assert (server.count("newOrder"), len(server.orders)) == (3, 1)


def test_an_answer_that_is_lost_leaves_what_was_done(server: FakeCa, ca: CertificateAuthority) -> None:
    server.fail("newOrder", CaUnreachable("cut"), is_answer_lost=True)
    with pytest.raises(CaUnreachable):
        _open(ca)
    assert len(server.orders) == 1


def test_orders_take_as_many_looks_as_were_set(server: FakeCa, ca: CertificateAuthority) -> None:
    server.validation_looks = server.issuing_looks = 2
    server.retry_after = timedelta(seconds=3)
    order = _open(ca)
    ca.answer(ca.authorization(order.authorization_urls[0]).challenges[0].url)
    looks = [ca.look(order.url) for _ in range(3)]
    assert [one.status for one in looks] == ["pending", "pending", "ready"]
    assert [one.retry_at is not None for one in looks] == [True, True, False]
    assert ca.finalize(looks[-1], _csr()).status == "processing"
    assert [ca.look(order.url).status for _ in range(3)] == ["processing", "processing", "valid"]


def test_what_the_ca_does_not_find_makes_the_order_invalid(server: FakeCa, ca: CertificateAuthority) -> None:
    server.validate = lambda proof: f"no TXT for {proof.name}"
    order = _open(ca)
    challenge = ca.authorization(order.authorization_urls[0]).challenges[1]
    ca.answer(challenge.url)
    assert ca.look(order.url).status == "invalid"
    failed = ca.authorization(order.authorization_urls[0])
    assert "no TXT for a.example.org" in str(failed.challenges[1].error)


def test_a_valid_authorization_is_reused_when_set(server: FakeCa, ca: CertificateAuthority) -> None:
    server.reuse_authorizations = True
    _issue(ca)
    assert _open(ca).status == "ready"


def test_an_account_can_be_forgotten_or_closed(server: FakeCa, ca: CertificateAuthority) -> None:
    server.deactivated.update(server.accounts.values())
    with pytest.raises(CaRefused, match="deactivated"):
        _open(ca)
    server.forget_accounts()
    with pytest.raises(CaRefused, match="accountDoesNotExist"):
        _open(ca)


def test_a_certificate_can_be_tampered_with(server: FakeCa, ca: CertificateAuthority) -> None:
    server.tamper = lambda _: "junk"
    assert _issue(ca) == "junk"


def test_the_window_is_the_one_set(server: FakeCa, ca: CertificateAuthority) -> None:
    chain = _issue(ca)
    usual = ca.renewal_info(chain)
    assert usual is not None
    server.windows[ari_certificate_id(chain)] = usual
    assert ca.renewal_info(chain) is usual
    server.has_renewal_info = False
    assert ca.renewal_info(chain) is None


def _open(ca: CertificateAuthority) -> OrderView:
    return ca.open([NAME], profile="classic", replaces=None)


def _issue(ca: CertificateAuthority) -> str:
    order = _open(ca)
    ca.answer(ca.authorization(order.authorization_urls[0]).challenges[0].url)
    view = ca.finalize(ca.look(order.url), _csr())
    assert view.certificate_url
    return ca.fetch(view.certificate_url, preferred_chain=None)


def _csr() -> bytes:
    return keys.make_csr(keys.generate(keys.KeyType.ECDSA_P256), (NAME,))
