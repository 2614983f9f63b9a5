"""An ACME account's key: JWS of requests (RFC 8555 section 6.2) and the answers to challenges (section 8.1)."""

import hashlib
import re

from acme import jws
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.json_util import decode_b64jose, encode_b64jose
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from certline_master.domain.errors import CaRefused
from certline_master.domain.model import FailureClass
from certline_shared import keys

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")


class AccountKey:
    """Signs for one account. Thread-safe."""

    def __init__(self, pem: bytes) -> None:
        """Raises ValueError for what is no private key of a kind that ACME knows."""
        self._jwk, self._algorithm = _as_jose(keys.from_pem(pem))
        self.thumbprint = encode_b64jose(self._jwk.thumbprint())

    def sign(self, payload: bytes, *, nonce: str, url: str, account_url: str | None) -> bytes:
        """A flattened JWS; without an account URL it carries the public key (RFC 8555 section 6.2)."""
        signed = jws.JWS.sign(
            payload,
            key=self._jwk,
            alg=self._algorithm,
            nonce=decode_b64jose(nonce),
            url=url,
            kid=account_url,
        )
        text: str = signed.json_dumps()
        return text.encode()

    def key_authorization(self, token: str) -> str:
        """RFC 8555 section 8.1, over the token as the CA wrote it. Raises CaRefused for what is no token.

        Not by the library: it decodes and encodes the token again, which need not give the same text.
        """
        return f"{checked_token(token)}.{self.thumbprint}"

    def dns_value(self, token: str) -> str:
        """RFC 8555 section 8.4: base64url(SHA-256(key authorization))."""
        return encode_b64jose(hashlib.sha256(self.key_authorization(token).encode()).digest())


def checked_token(token: object) -> str:
    """The token, if it is base64url of 128 bits or more (RFC 8555 section 8.3) and of bounded length.

    Raises CaRefused: a token becomes a file name and DNS text (security note, T6).
    """
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        return token
    shown = ascii(token)
    raise CaRefused(
        "badToken",
        f"the CA sent a token that is not base64url: {shown if len(shown) <= 60 else shown[:60] + '…'}; "
        "nothing was published, ask the CA's operator",
        FailureClass.NEEDS_PERSON,
    )


def _as_jose(key: keys.PrivateKey) -> tuple[JWK, JWASignature]:
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key), RS256
    algorithms = {"secp256r1": ES256, "secp384r1": ES384}
    if key.curve.name not in algorithms:
        raise ValueError("the account key must be RSA or on the curve P-256 or P-384")
    return JWKEC(key=key), algorithms[key.curve.name]
