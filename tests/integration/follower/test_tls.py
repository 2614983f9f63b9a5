"""G7: a follower speaks with its master alone, over nothing weak; it says why not, and keeps serving what it has."""

import socket
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from certline_follower.master_faults import MasterFault, Unreachable, Untrusted
from certline_follower.trust import FirstUseContext, PinMismatch, check_pins, first_use, pinned
from tests.fakes.master import FakeMaster
from tests.fakes.tls import TlsAuthority
from tests.integration.follower.host_bed import Bed

PAST = datetime(2020, 1, 1, tzinfo=UTC)

Change = Callable[[FakeMaster], None]


def _only(version: ssl.TLSVersion) -> Change:
    def change(master: FakeMaster) -> None:
        master.tls.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
            master.tls.minimum_version = version
            master.tls.maximum_version = version

    return change


def _suites(names: str) -> Change:
    def change(master: FakeMaster) -> None:
        master.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        master.tls.set_ciphers(f"{names}:@SECLEVEL=0")

    return change


WEAK: dict[str, Change] = {
    "TLS 1.0": _only(ssl.TLSVersion.TLSv1),
    "TLS 1.1": _only(ssl.TLSVersion.TLSv1_1),
    "no encryption": _suites("ECDHE-ECDSA-NULL-SHA"),
    "nobody authenticated": _suites("AECDH-AES128-SHA"),
    "a SHA-1 suite": _suites("ECDHE-ECDSA-AES128-SHA"),
}


def _expired(master: FakeMaster) -> str:
    return master.api_authority.server_chain(since=PAST, until=PAST + timedelta(days=90))


def _self_signed(_master: FakeMaster) -> str:
    return TlsAuthority("itself").server_chain()


FALSE: dict[str, tuple[Callable[[FakeMaster], str], str]] = {
    "an expired certificate": (_expired, "expired"),
    "a certificate for another name": (lambda master: master.api_authority.server_chain(host="192.0.2.7"), "127.0.0.1"),
    "a certificate of another CA": (lambda _: TlsAuthority("other").server_chain(), "not trusted"),
    "a self-signed certificate": (_self_signed, "self-signed"),
}


def installed(bed: Bed, master: FakeMaster) -> str:
    bed.settle()
    master.issue("shop")
    return bed.shown("shop")


def refused(bed: Bed, master: FakeMaster, before: str) -> MasterFault:
    """Why; what was installed is in place as before, and nothing was sent."""
    asked = len(master.asked(""))
    outcome = bed.turn()
    assert outcome.away is not None
    assert not outcome.failures
    assert bed.shown("shop") == before
    assert len(master.asked("")) == asked
    return outcome.away


@pytest.mark.parametrize("how", WEAK)
@pytest.mark.parametrize("trust", ["pin", "chain"])
def test_weak_transport_is_refused_and_what_is_installed_stays(
    fresh_bed: Bed, master: FakeMaster, how: str, trust: str
) -> None:
    bed = _enrolled(fresh_bed, master, trust)
    before = installed(bed, master)
    master.present(master.api_authority.server_chain())
    WEAK[how](master)
    away = refused(bed, master, before)
    assert isinstance(away, Unreachable | Untrusted)
    assert "SSL" in str(away) or "TLS" in str(away)
    master.present(master.api_authority.server_chain())
    assert not bed.turn().away


def _enrolled(bed: Bed, master: FakeMaster, trust: str) -> Bed:
    (bed.folder / "ca.crt").write_text(master.api_authority.pem)
    bed.configure(bed.line("shop", "shop.example.org"), more='ca_file = "ca.crt"')
    bed.enrol(master.token(trust=trust))
    return bed


@pytest.mark.parametrize("how", FALSE)
def test_a_chain_that_does_not_hold_is_refused_and_what_is_installed_stays(
    fresh_bed: Bed, master: FakeMaster, how: str
) -> None:
    bed = _enrolled(fresh_bed, master, "chain")
    before = installed(bed, master)
    present, why = FALSE[how]
    master.present(present(master))
    away = refused(bed, master, before)
    assert isinstance(away, Untrusted)
    assert "the API's certificate is not trusted" in str(away)
    assert why in str(away)


@pytest.mark.parametrize("how", ["a certificate of another CA", "a self-signed certificate"])
def test_a_pin_that_does_not_fit_is_refused_and_what_is_installed_stays(bed: Bed, master: FakeMaster, how: str) -> None:
    before = installed(bed, master)
    master.present(FALSE[how][0](master))
    away = refused(bed, master, before)
    assert isinstance(away, Untrusted)
    assert "no pinned key stands behind it" in str(away)


@pytest.mark.parametrize("context", [pinned(("ab" * 32,)), first_use()], ids=["pin", "first use"])
def test_no_context_goes_below_tls_1_2_or_renegotiates(context: ssl.SSLContext) -> None:
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not any("NULL" in suite["name"] or suite["name"].endswith("-SHA") for suite in context.get_ciphers())


def test_who_was_seen_at_first_is_held_against_what_is_learnt(master: FakeMaster) -> None:
    context = first_use()
    assert isinstance(context, FirstUseContext)
    with socket.create_connection(("127.0.0.1", master.port)) as plain, context.wrap_socket(plain):
        pass
    check_pins(context.presented, frozenset({master.api_authority.pin}))
    with pytest.raises(PinMismatch):
        check_pins(context.presented, frozenset({TlsAuthority("other").pin}))
