"""What a grant covers: exactly its name, in any spelling; and what a request may hold beside key and names: nothing."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certline_master.api.wish_reading import read_wish
from certline_master.domain.errors import Invalid
from certline_master.domain.model import Follower, FollowerState, Grant, GrantKind, Owner
from certline_master.domain.placement import granted_names, names_without_grant, own_line_name
from certline_shared import keys
from certline_shared.messages import LineWish, encode
from certline_shared.names import BadName, normalise
from tests.integration import crafted_csr as crafted
from tests.unit.master.test_placement import LINE

GRANTED = ("example.com", "*.wild.example.com", "xn--bcher-kva.example.com", "shop.co.uk")
FOLLOWER = Follower(
    "f", "web-1", Owner.API, FollowerState.ACTIVE, tuple(Grant(GrantKind.REQUEST, name) for name in GRANTED)
)


def is_granted(wished: str, follower: Follower = FOLLOWER) -> bool:
    """As a wish comes: read strictly, then compared."""
    names = read_wish(encode(LineWish((wished,)))).names
    assert names is not None
    return granted_names(follower).issuperset(names)


# --- G4: names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wished",
    [
        "example.com",
        "EXAMPLE.com",
        "example.com.",
        "Example.COM.",
        "*.wild.example.com",
        "*.WILD.example.com.",
        "bücher.example.com",
        "BÜCHER.Example.com.",
        "bu\u0308cher.example.com",
        "XN--BCHER-KVA.example.com",
        "shop.co.uk",
    ],
)
def test_a_granted_name_in_any_spelling_is_granted(wished: str) -> None:
    assert is_granted(wished)


@pytest.mark.parametrize(
    "wished",
    [
        "*.example.com",  # an apex grant is none for the wildcard
        "www.example.com",
        "xexample.com",
        "example.com.evil.example",
        "wild.example.com",  # nor the wildcard's for its base
        "a.wild.example.com",  # nor for a name under it
        "*.a.wild.example.com",
        "b\u00fccher.example.org",
        "b\u1ee5cher.example.com",  # look-alikes
        "bucher.example.com",
        "ex\u0430mple.com",  # a Cyrillic a
        "co.uk",  # a public suffix
        "*.co.uk",
    ],
)
def test_any_other_name_is_not(wished: str) -> None:
    assert not is_granted(wished)


@pytest.mark.parametrize(
    "wished",
    [
        "",
        ".",
        "*",
        "*.*.example.com",
        "**.example.com",
        "a.*.example.com",
        "example.com\n",
        "example.com\0",
        "exa\0mple.com",
        " example.com",
        "example..com",
        "192.0.2.1",
        "2001:db8::1",
        "xn--zzzzzz.example.com",
        "xn--.example.com",
        "com",
        ".".join(["a" * 60] * 4) + ".abcdefghij",  # 254 octets
        "a" * 10_000 + ".example.com",
        "example.com/../x",
        "*.example.com;id",
        "$(id).example.com",
    ],
)
def test_what_is_no_name_is_refused_before_it_is_compared(wished: str) -> None:
    with pytest.raises(Invalid):
        is_granted(wished)


_LABELS = st.sampled_from(["a", "www", "example", "com", "bücher", "xn--bcher-kva", "*", "", "ß", "α", "co", "uk"])
_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join)


def _normal(text: str) -> str | None:
    try:
        return normalise(text)
    except BadName:
        return None


@st.composite
def _spellings(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and a text that may be it in another spelling."""
    name = draw(_NAMES)
    other = draw(st.one_of(st.just(name), _NAMES, st.text(max_size=12)))
    changed = "".join(draw(st.sampled_from([letter.upper(), letter.lower(), letter])) for letter in other)
    return name, changed + draw(st.sampled_from(["", "."]))


@given(_spellings())
def test_a_name_is_granted_exactly_when_its_normal_form_is(pair: tuple[str, str]) -> None:
    granted, wished = _normal(pair[0]), _normal(pair[1])
    if granted is None or wished is None:
        return
    follower = replace(FOLLOWER, grants=(Grant(GrantKind.REQUEST, granted),))
    assert is_granted(pair[1], follower) == (granted == wished)


@given(_spellings())
def test_a_groups_grant_is_as_exact_as_an_own_one(pair: tuple[str, str]) -> None:
    granted, wished = _normal(pair[0]), _normal(pair[1])
    if granted is None or wished is None:
        return
    follower = replace(FOLLOWER, grants=(), group_grants=(Grant(GrantKind.REQUEST, granted),))
    assert is_granted(pair[1], follower) == (granted == wished)


def test_a_grant_to_pull_a_line_is_none_to_ask_for_a_name() -> None:
    follower = replace(FOLLOWER, grants=(Grant(GrantKind.PULL, "example.com"),))
    assert not is_granted("example.com", follower)


def test_a_line_whose_group_lost_the_name_is_not_renewed() -> None:
    line = replace(LINE, owner=Owner.FOLLOWER, name=own_line_name("a", "web-1"), names=("www.example.com",))
    through = replace(FOLLOWER, group_grants=(Grant(GrantKind.REQUEST, "www.example.com"),))
    assert names_without_grant(line, through) == ()
    assert names_without_grant(line, FOLLOWER) == ("www.example.com",)


# --- G5: requests ---------------------------------------------------------------------------------------------------

_KEY = keys.generate(keys.KeyType.ECDSA_P256)
_SAN = x509.SubjectAlternativeName([x509.DNSName("a.example")])
_MORE: dict[str, x509.ExtensionType] = {
    "CA:TRUE": x509.BasicConstraints(ca=True, path_length=None),
    "key usage": x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    ),
    "extended key usage": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]),
    "Must-Staple": x509.TLSFeature([x509.TLSFeatureType.status_request]),
    "unknown": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x"),
    "name constraints": x509.NameConstraints([x509.DNSName("example")], None),
}  # fmt: skip
_SUBJECTS = {
    "none": x509.Name([]),
    "its own name": x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")]),
    "another name": x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "b.example")]),
    "a company": x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "a.example")]),
}


@given(st.sets(st.sampled_from(sorted(_MORE))), st.sampled_from(sorted(_SUBJECTS)), st.booleans(), st.booleans())
def test_only_a_request_with_nothing_but_key_names_and_must_staple_passes(
    more: set[str],
    subject: str,
    with_names: bool,
    with_password: bool,
) -> None:
    builder = x509.CertificateSigningRequestBuilder(_SUBJECTS[subject])
    for name in more:
        builder = builder.add_extension(_MORE[name], critical=False)
    if with_names:
        builder = builder.add_extension(_SAN, critical=False)
    if with_password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"x")
    der = builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.DER)
    if with_names and more <= {"Must-Staple"} and not with_password and subject in ("none", "its own name"):
        assert keys.read_csr(der).names == ("a.example",)
        return
    with pytest.raises(keys.BadRequest):
        keys.read_csr(der)


def test_an_rsa_key_whose_every_signature_holds_is_refused() -> None:
    """With the exponent 1 a signature is its own text: anybody signs."""
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    integer = crafted.tlv(crafted.INTEGER, b"\0" + modulus.to_bytes(256))
    key = crafted.tlv(crafted.SEQUENCE, integer + crafted.tlv(crafted.INTEGER, b"\1"))
    algorithm = crafted.tlv(crafted.SEQUENCE, crafted.tlv(crafted.OID, bytes.fromhex("2a864886f70d010101")) + b"\5\0")
    public = crafted.tlv(crafted.SEQUENCE, algorithm + crafted.tlv(crafted.BITS, b"\0" + key))
    wanted = crafted.tlv(crafted.ATTRIBUTES, crafted.wants(crafted.names("a.example")))
    version, subject = crafted.tlv(crafted.INTEGER, b"\0"), crafted.tlv(crafted.SEQUENCE, b"")
    said = crafted.tlv(crafted.SEQUENCE, version + subject + public + wanted)
    signed_by = crafted.tlv(crafted.SEQUENCE, crafted.tlv(crafted.OID, bytes.fromhex("2a864886f70d01010b")) + b"\5\0")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(said)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest.finalize()
    signature = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info  # RFC 8017 section 9.2
    der = crafted.tlv(crafted.SEQUENCE, said + signed_by + crafted.tlv(crafted.BITS, b"\0" + signature))
    with pytest.raises(keys.BadRequest):
        keys.read_csr(der)
