"""Signatures and answers of an account's key, with the library as oracle."""

import json

import pytest
from acme import challenges, jws
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from josepy.json_util import decode_b64jose
from josepy.jwk import JWKEC

from certline_master.ca.account_key import AccountKey, checked_token
from certline_master.domain.errors import CaRefused
from certline_shared import keys
from certline_shared.keys import KeyType

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PEM = keys.to_pem(keys.generate(KeyType.ECDSA_P256))


def test_the_answers_to_challenges_are_those_of_the_library() -> None:
    key, oracle = AccountKey(PEM), JWKEC(key=keys.from_pem(PEM))
    token = decode_b64jose(TOKEN)
    assert key.key_authorization(TOKEN) == challenges.HTTP01(token=token).response(oracle).key_authorization
    assert key.dns_value(TOKEN) == challenges.DNS01(token=token).validation(oracle)


def test_a_token_is_answered_as_the_ca_wrote_it() -> None:
    """Its last character may hold bits that decoding and encoding again would lose."""
    odd = "A" * 21 + "B"
    assert AccountKey(PEM).key_authorization(odd).startswith(f"{odd}.")


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_a_request_is_signed_so_that_the_library_verifies_it(kind: KeyType) -> None:
    key = AccountKey(keys.to_pem(keys.generate(kind)))
    text = key.sign(b"{}", nonce="bm9uY2U", url="https://ca.example/new", account_url=None)
    found = jws.JWS.json_loads(text.decode())
    assert found.verify()
    header = json.loads(decode_b64jose(json.loads(text)["protected"]))
    assert set(header) == {"alg", "nonce", "url", "jwk"}
    assert (header["nonce"], header["url"]) == ("bm9uY2U", "https://ca.example/new")


def test_a_request_of_a_known_account_names_it_in_place_of_its_key() -> None:
    """RFC 8555 section 6.2: one or the other."""
    text = AccountKey(PEM).sign(
        b"", nonce="bm9uY2U", url="https://ca.example/order", account_url="https://ca.example/1"
    )
    body = json.loads(text)
    header = json.loads(decode_b64jose(body["protected"]))
    assert set(header) == {"alg", "nonce", "url", "kid"}
    assert set(body) == {"protected", "payload", "signature"}
    assert body["payload"] == ""


def test_a_key_of_another_kind_is_refused_in_words() -> None:
    for key in (ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()):
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with pytest.raises(ValueError, match="key"):
            AccountKey(pem)


@pytest.mark.parametrize(
    "token", ["../../x", "", "A" * 21, "A" * 129, "A" * 30 + "\n", "A" * 30 + "'", None, 17, b"A" * 43]
)
def test_what_is_no_token_is_used_for_nothing(token: object) -> None:
    """D7."""
    with pytest.raises(CaRefused, match="not base64url"):
        checked_token(token)


@pytest.mark.parametrize("token", ["A" * 22, "A" * 128, TOKEN])
def test_a_token_of_128_bits_or_more_is_taken(token: str) -> None:
    assert checked_token(token) == token
