"""Which TLSA records a line wants: for what is served, and will be, until the last host has moved on."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certline_master.domain.dane import Records, Wanted, gate, of_version, owners, wanted_by
from certline_master.domain.deployment import Receiver
from certline_master.domain.model import (
    Certificate,
    Deployment,
    DeploymentState,
    FollowerState,
    Line,
    LineCsr,
    LineOptions,
    LineSnapshot,
    Owner,
    Slot,
    TlsaRecord,
    TlsaState,
    TlsaWish,
    Version,
    VersionState,
)
from certline_master.domain.staging import hold_until, may_hold
from certline_shared.keys import KeyType, PrivateKey, generate, make_csr, read_csr
from tests.fakes.ca_issuing import IssuingCa

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOST = "www.example.com"
AT = f"_443._tcp.{HOST}"
CA = IssuingCa(NOW)
KEYS = [generate(KeyType.ECDSA_P256) for _ in range(4)]
RSA = generate(KeyType.RSA_2048)
WEB = Receiver("f-1", "web-1", FollowerState.ACTIVE)
SPKI, CERT = TlsaWish(), TlsaWish(selector="cert")


def line(*wishes: TlsaWish, **options: str) -> Line:
    made = LineOptions(tlsa=wishes or (SPKI,), **options)  # type: ignore[arg-type]  # plain texts
    return Line("l-1", "shop", Owner.FILE, "f-1", (HOST,), options=made)


def certificate(key: PrivateKey, number: int) -> Certificate:
    csr = make_csr(key, (HOST,))
    facts = read_csr(csr)
    chain = CA.issue(csr, NOW, timedelta(days=90))
    spans = {"not_before": NOW, "not_after": NOW + timedelta(days=90)}
    made = Certificate(f"c-{number}", f"v-{number}", facts.key_type, csr, facts.spki_sha256, (HOST,), chain)
    return replace(made, **spans)  # type: ignore[arg-type]  # two times


def version(number: int, state: VersionState, *keys: PrivateKey) -> Version:
    made = Version(f"v-{number}", "l-1", number, state, NOW, "renewal")
    return replace(made, certificates=tuple(certificate(key, number) for key in keys))


def ahead(key: PrivateKey) -> LineCsr:
    csr = make_csr(key, (HOST,))
    facts = read_csr(csr)
    return LineCsr(facts.key_type, csr, facts.spki_sha256, (HOST,), slot=Slot.NEXT)


def spki(key: PrivateKey, kind: int = 1) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return {0: der.hex(), 1: hashlib.sha256(der).hexdigest(), 2: hashlib.sha512(der).hexdigest()}[kind]


def data(found: "frozenset[Wanted] | list[Wanted]") -> set[str]:
    return {one.rdata for one in found}


def served(number: int, follower: str = "f-1", state: DeploymentState = DeploymentState.SERVED) -> Deployment:
    return Deployment(follower, "l-1", number, state, None, NOW, goal=DeploymentState.SERVED)


def wanted(
    wished: Line, *versions: Version, ahead_of: tuple[LineCsr, ...] = (), hosts: tuple[Receiver, ...] = (WEB,),
    said: tuple[Deployment, ...] = (),
) -> Records:  # fmt: skip
    return wanted_by(wished, versions, ahead_of, hosts, said)


# --- the data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("usage", "number"), [("pkix-ee", 1), ("dane-ee", 3)])
def test_a_record_of_the_key(usage: str, number: int) -> None:
    live = version(1, VersionState.LIVE, KEYS[0])
    assert of_version(line(TlsaWish(usage=usage)), live) == {Wanted(AT, f"{number} 1 1 {spki(KEYS[0])}", 300)}


@pytest.mark.parametrize(("matching", "kinds"), [("full", [0]), ("sha256", [1]), ("sha512", [2]), ("both", [1, 2])])
def test_each_matching_type(matching: str, kinds: list[int]) -> None:
    live = version(1, VersionState.LIVE, KEYS[0])
    assert data(of_version(line(TlsaWish(matching=matching)), live)) == {
        f"3 1 {kind} {spki(KEYS[0], kind)}" for kind in kinds
    }


def test_a_record_of_the_certificate() -> None:
    live = version(1, VersionState.LIVE, KEYS[0])
    der = x509.load_pem_x509_certificate((live.certificates[0].chain or "").encode()).public_bytes(
        serialization.Encoding.DER
    )
    assert data(of_version(line(CERT), live)) == {f"3 0 1 {hashlib.sha256(der).hexdigest()}"}


@pytest.mark.parametrize(("usage", "number"), [("pkix-ta", 0), ("dane-ta", 2)])
def test_a_trust_anchor_usage_has_one_for_each_intermediate_and_root(usage: str, number: int) -> None:
    """2.1 line 33."""
    root = CA.root.public_bytes(serialization.Encoding.PEM).decode()
    live, wish = version(1, VersionState.LIVE, KEYS[0]), TlsaWish(usage=usage, root=root)
    digests = [_spki_of(authority) for authority in (CA.intermediate, CA.root)]
    assert data(of_version(line(wish), live)) == {f"{number} 1 1 {digest}" for digest in digests}
    assert data(wanted(line(wish), live, ahead_of=(ahead(KEYS[1]),)).wanted) == data(of_version(line(wish), live))


def _spki_of(authority: x509.Certificate) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(authority.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()


def test_records_stand_at_each_name_or_at_the_host_that_is_named() -> None:
    wished = replace(line(), names=("*.example.com", "example.com", HOST))
    assert owners(wished, SPKI) == ("_443._tcp.example.com", AT)
    assert owners(wished, TlsaWish(host="mx.example.com", port=25)) == ("_25._tcp.mx.example.com",)
    assert owners(wished, TlsaWish(host=HOST, port=853, protocol="udp")) == (f"_853._udp.{HOST}",)


# --- whose ----------------------------------------------------------------------------------------------------------


def test_each_key_type_of_current_next_and_former_keys_has_its_record() -> None:
    """2.1 line 33: spki and an end-entity usage: every key type x {primary, backup, previous}."""
    live = version(2, VersionState.LIVE, KEYS[1], RSA)
    former = version(1, VersionState.RETIRED, KEYS[0])
    found = wanted(line(), live, former, ahead_of=(ahead(KEYS[2]),), said=(served(1),))
    assert data(found.wanted) == {f"3 1 1 {spki(key)}" for key in (KEYS[0], KEYS[1], KEYS[2], RSA)}


def test_while_staged_both_are_offered_and_after_that_only_the_live_one() -> None:
    """2.3 line 9."""
    live, staged = version(1, VersionState.LIVE, KEYS[0]), version(2, VersionState.STAGED, KEYS[1])
    assert data(wanted(line(), staged, live, said=(served(1),)).wanted) == {f"3 1 1 {spki(key)}" for key in KEYS[:2]}
    now_live, retired = replace(staged, state=VersionState.LIVE), replace(live, state=VersionState.RETIRED)
    found = wanted(line(), now_live, retired, said=(served(1), served(2)))
    assert data(found.wanted) == {f"3 1 1 {spki(KEYS[1])}"}


def test_a_revoked_version_has_no_records_at_once() -> None:
    """2.1 line 35."""
    revoked, live = version(1, VersionState.REVOKED, KEYS[0]), version(2, VersionState.LIVE, KEYS[1])
    assert data(wanted(line(), live, revoked, said=(served(1),)).wanted) == {f"3 1 1 {spki(KEYS[1])}"}
    assert wanted(line(), revoked).wanted == frozenset()


def test_a_key_that_other_versions_keep_stays_when_one_of_them_is_revoked() -> None:
    revoked, live = version(1, VersionState.REVOKED, KEYS[0]), version(2, VersionState.LIVE, KEYS[0])
    assert data(wanted(line(), live, revoked).wanted) == {f"3 1 1 {spki(KEYS[0])}"}


def test_a_line_without_wishes_wants_nothing() -> None:
    plain = replace(line(), options=LineOptions())
    assert wanted(plain, version(1, VersionState.LIVE, KEYS[0])) == Records(frozenset())
    assert (may_hold(plain), may_hold(line())) == (False, True)


# --- when the former one goes ---------------------------------------------------------------------------------------

NEW = version(3, VersionState.LIVE, KEYS[2])
OLD = (version(2, VersionState.RETIRED, KEYS[1]), version(1, VersionState.RETIRED, KEYS[0]))
OTHER = Receiver("f-2", "web-2", FollowerState.ACTIVE)


def test_the_former_record_stays_until_every_host_reported_the_new_key_as_served() -> None:
    both = (WEB, OTHER)
    before = wanted(line(), NEW, *OLD, hosts=both, said=(served(3), served(2, "f-2")))
    assert (data(before.kept), before.in_use.waits_for) == ({f"3 1 1 {spki(KEYS[1])}"}, ("web-2",))
    installed = served(3, "f-2", DeploymentState.INSTALLED)  # its goal is served
    still = wanted(line(), NEW, *OLD, hosts=both, said=(served(3), served(2, "f-2"), installed))
    assert data(still.kept) == {f"3 1 1 {spki(KEYS[1])}"}
    after = wanted(line(), NEW, *OLD, hosts=both, said=(served(3), served(2, "f-2"), served(3, "f-2")))
    assert (after.kept, after.in_use.waits_for) == (frozenset(), ())


def test_a_host_that_is_two_versions_behind_keeps_both_records() -> None:
    found = wanted(line(), NEW, *OLD, said=(served(1), served(2, state=DeploymentState.PULLED)))
    assert data(found.kept) == {f"3 1 1 {spki(key)}" for key in KEYS[:2]}


def test_a_suspended_host_is_left_out_by_name() -> None:
    away = replace(OTHER, state=FollowerState.SUSPENDED)
    found = wanted(line(), NEW, *OLD, hosts=(WEB, away), said=(served(3), served(2, "f-2")))
    assert (found.kept, found.in_use.left_out) == (frozenset(), ("web-2 (suspended)",))


def test_a_host_that_never_had_a_version_is_not_waited_for() -> None:
    assert wanted(line(), NEW, *OLD, hosts=(WEB, OTHER), said=(served(3),)).kept == frozenset()


# --- the gate -------------------------------------------------------------------------------------------------------

STAGED = version(2, VersionState.STAGED, KEYS[1])
LIVE = version(1, VersionState.LIVE, KEYS[0])


def row(of: Version, *, seen: timedelta | None = timedelta(0), former: int = 3600, **fields: object) -> TlsaRecord:
    (one,) = of_version(line(), of)
    state = TlsaState.PRESENT if seen is None else TlsaState.VISIBLE
    made = TlsaRecord("id", one.name, one.rdata, "example.com", state, NOW, former_ttl=former, sent_ttl=300)
    since = None if seen is None else NOW - seen
    return replace(made, visible_since=since, **fields)  # type: ignore[arg-type]  # fields of a row


def snapshot(wished: Line, *rows: TlsaRecord, versions: tuple[Version, ...] = (STAGED, LIVE)) -> LineSnapshot:
    return LineSnapshot(wished, None, (), versions, None, tlsa=rows)


def test_a_version_waits_until_its_record_is_on_every_server() -> None:
    for rows in ((), (row(STAGED, seen=None, error="ns2 does not show it"),)):
        hold = hold_until(snapshot(line(), *rows), NOW)
        assert hold is not None
        assert hold.until is None
        assert "about to be written" in hold.why or "ns2 does not show it" in hold.why


def test_and_then_for_the_ttl_of_what_stood_before() -> None:
    """2.1 line 9: TLSA of a new key goes out before the switch."""
    seen = row(STAGED, seen=timedelta(minutes=20), former=3600)
    hold = hold_until(snapshot(line(), seen), NOW)
    assert hold is not None
    assert hold.until == NOW + timedelta(minutes=40)
    assert "TTL 3600 s" in hold.proof[0]
    assert hold_until(snapshot(line(), seen), NOW + timedelta(minutes=40)) is None


def test_every_certificate_of_the_version_counts() -> None:
    both = version(2, VersionState.STAGED, KEYS[1], RSA)
    hold = hold_until(snapshot(line(), row(STAGED, seen=timedelta(days=1)), versions=(both, LIVE)), NOW)
    assert hold is not None
    assert hold.until is None


def test_a_version_for_a_key_that_was_published_long_ago_does_not_wait() -> None:
    assert hold_until(snapshot(line(), row(STAGED, seen=timedelta(days=3))), NOW) is None


@pytest.mark.parametrize(("policy", "waits"), [("wait", True), ("go", False)])
def test_when_expiry_comes_first_the_line_says_what_counts(policy: str, *, waits: bool) -> None:
    near = NOW + timedelta(days=85)  # of 90
    assert (hold_until(snapshot(line(tlsa_before_expiry=policy)), near) is not None) is waits
    far = hold_until(snapshot(line(tlsa_before_expiry=policy)), NOW)
    assert far is not None
    assert far.until == (None if waits else NOW + timedelta(days=82.5))


def test_after_a_revocation_nothing_waits() -> None:
    revoked = replace(LIVE, state=VersionState.REVOKED)
    assert hold_until(snapshot(line(), versions=(STAGED, revoked)), NOW) is None
    assert hold_until(snapshot(line(), versions=(STAGED,)), NOW) is not None


def test_a_version_that_wants_no_record_passes() -> None:
    nothing = replace(line(), options=LineOptions())
    assert gate(nothing, STAGED, (), NOW) is None
