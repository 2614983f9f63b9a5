"""A chain is used only when it is whole, ours, and what was asked for."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from certline_shared import certificates, keys
from certline_shared.certificates import BadChain
from certline_shared.keys import KeyType
from tests.unit.shared.makers import Authority, dns_names

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Authority.make("root", NOW)
MIDDLE = Authority.make("middle", NOW, ROOT)
STRANGER = Authority.make("middle", NOW)
KEY = keys.generate(KeyType.ECDSA_P256)
LEAF = MIDDLE.issue(KEY, dns_names("www.example.org", "example.org"), NOW - DAY, NOW + 89 * DAY)
CHAIN = LEAF + MIDDLE.pem
SPKI = keys.spki_sha256(KEY)
NAMES = ("example.org", "www.example.org")


def leaf(*names: str, since: datetime = NOW - DAY, until: datetime = NOW + 89 * DAY, serial: int = 0x1234) -> str:
    return MIDDLE.issue(KEY, dns_names(*(names or NAMES)), since, until, serial=serial)


def check(pem: str, former_serial: str | None = None) -> certificates.CertificateFacts:
    return certificates.check_issued(pem, names=NAMES, spki_sha256=SPKI, now=NOW, former_serial=former_serial)


def test_the_facts_of_a_chain_are_those_of_its_leaf() -> None:
    assert certificates.read_chain(CHAIN) == certificates.CertificateFacts(
        names=NAMES,
        serial="1234",
        not_before=NOW - DAY,
        not_after=NOW + 89 * DAY,
        spki_sha256=SPKI,
        issuer="CN=middle",
    )


def test_names_are_told_in_normal_form_addresses_and_unusable_names_as_they_are() -> None:
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("WWW.Example.org"), x509.DNSName("Local_Host"), x509.IPAddress(ipaddress.ip_address("192.0.2.7"))]
    )
    pem = MIDDLE.issue(KEY, alternatives, NOW, NOW + DAY)
    assert certificates.read_chain(pem).names == ("192.0.2.7", "local_host", "www.example.org")
    assert certificates.read_chain(MIDDLE.issue(KEY, None, NOW, NOW + DAY)).names == ()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "PEM CERTIFICATE blocks only"),
        ("garbage", "PEM CERTIFICATE blocks only"),
        (CHAIN + "# a remark\n", "PEM CERTIFICATE blocks only"),
        (LEAF.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "PEM CERTIFICATE blocks only"),
        (LEAF[:-30], "PEM CERTIFICATE blocks only"),
        (LEAF + keys.to_pem(KEY).decode(), "private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        (LEAF + LEAF + MIDDLE.pem, "same certificate twice"),
        (CHAIN + ROOT.pem + ROOT.pem, "same certificate twice"),
        (LEAF + ROOT.pem, "certificate 1 of the chain is not signed by certificate 2"),
        (LEAF + ROOT.pem + MIDDLE.pem, "certificate 1 of the chain is not signed by certificate 2"),
        (LEAF + STRANGER.pem, "certificate 1 of the chain is not signed by certificate 2"),
        (CHAIN + STRANGER.pem, "certificate 2 of the chain is not signed by certificate 3"),
        (CHAIN + " " * 65_536, "at most 65536"),
        (LEAF * 11, "11 certificates: at most 10"),
    ],
)
def test_a_chain_that_is_not_whole_is_refused(pem: str, why: str) -> None:
    with pytest.raises(BadChain, match=why):
        certificates.read_chain(pem)


def changed(pem: str, old: bytes, new: bytes) -> str:
    """The certificate with other bytes in it, as a hostile CA may send it."""
    der = ssl.PEM_cert_to_DER_cert(pem)
    assert old in der
    return ssl.DER_cert_to_PEM_cert(der.replace(old, new))


VERSION_3, VERSION_6 = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")
AUTHORITY_KEY, ALTERNATIVE_NAMES = bytes.fromhex("0603551d23"), bytes.fromhex("0603551d11")


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (changed(LEAF, VERSION_3, VERSION_6), "version"),
        (changed(LEAF, AUTHORITY_KEY, ALTERNATIVE_NAMES), "Duplicate"),
    ],
)
def test_a_certificate_that_the_library_chokes_on_is_refused_too(pem: str, why: str) -> None:
    with pytest.raises(BadChain, match=why):
        certificates.read_chain(pem)


def test_a_chain_may_end_in_its_root() -> None:
    assert certificates.read_chain(CHAIN + ROOT.pem).serial == "1234"


def test_what_the_ca_gave_is_taken_when_it_is_what_was_asked_for() -> None:
    assert check(CHAIN, former_serial="99").names == NAMES


def test_a_certificate_for_another_key_is_refused() -> None:
    other = MIDDLE.issue(keys.generate(KeyType.ECDSA_P256), dns_names(*NAMES), NOW - DAY, NOW + 89 * DAY)
    with pytest.raises(BadChain, match="for another key"):
        check(other)


def test_a_certificate_with_other_names_is_refused_and_they_are_told() -> None:
    with pytest.raises(BadChain, match=r"lacks the names www\.example\.org"):
        check(leaf("example.org"))
    with pytest.raises(BadChain, match=r"not asked for: extra\.example\.org"):
        check(leaf(*NAMES, "extra.example.org"))
    with pytest.raises(BadChain, match=r"lacks the names www\.example\.org"):
        check(leaf("example.org", "*.example.org"))


def test_the_former_certificate_given_again_is_refused() -> None:
    with pytest.raises(BadChain, match="former one again"):
        check(CHAIN, former_serial="1234")


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (NOW - 90 * DAY, NOW, "expired"),
        (NOW + timedelta(hours=1, seconds=1), NOW + 90 * DAY, "not valid before"),
        (NOW - timedelta(minutes=30), NOW + timedelta(minutes=30), "lives 1:00:00 only"),
    ],
)
def test_a_certificate_that_is_of_no_use_now_is_refused(since: datetime, until: datetime, why: str) -> None:
    with pytest.raises(BadChain, match=why):
        check(leaf(since=since, until=until))


def test_a_certificate_from_a_clock_up_to_an_hour_ahead_is_taken() -> None:
    assert check(leaf(since=NOW + timedelta(hours=1), until=NOW + 6 * DAY)).not_before == NOW + timedelta(hours=1)


def test_a_key_matches_its_own_leaf_only() -> None:
    assert certificates.matches(KEY, CHAIN)
    assert not certificates.matches(keys.generate(KeyType.ECDSA_P256), CHAIN)
    assert not certificates.matches(keys.generate(KeyType.RSA_2048), CHAIN)


def test_the_renewal_information_id_is_that_of_rfc_9773() -> None:
    """The example of section 4.1, whose serial has its highest bit set."""
    identifier = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
    pem = MIDDLE.issue(KEY, None, NOW, NOW + DAY, serial=0x87654321, identifier=identifier)
    assert certificates.ari_certificate_id(pem) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_without_an_authority_key_identifier_there_is_no_renewal_information() -> None:
    with pytest.raises(BadChain, match="authority key identifier"):
        certificates.ari_certificate_id(MIDDLE.issue(KEY, None, NOW, NOW + DAY, identifier=None))
