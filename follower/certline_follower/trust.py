"""Whom the follower believes to be its master's API: a set of pinned keys, or a chain to a known CA."""

import hashlib
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MOST_PRESENTED = 10  # certificates looked at


class PinMismatch(ssl.SSLError):
    """The API presented no certificate with a pinned key."""


class PinnedContext(ssl.SSLContext):
    """TLS 1.2 or newer to whoever holds a pinned key, checked after the handshake and before the first byte.

    Dates and host names are not looked at: an expired or re-issued certificate of the same key, or of the same CA,
    never cuts a host off. The handshake itself proves that the other side holds the leaf's private key.
    """

    pins: frozenset[str]  # lower-case hex SHA-256 over the DER SubjectPublicKeyInfo

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As in the standard library; the socket is closed when no pin fits. Raises PinMismatch."""
        wrapped = super().wrap_socket(*args, **kwargs)
        try:
            check_pins(presented_chain(wrapped), self.pins)
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def wrap_bio(self, *_args: Any, **_kwargs: Any) -> ssl.SSLObject:
        """Refused: the check could not be made in time there."""
        raise NotImplementedError("a pinned context is for sockets only")


class FirstUseContext(ssl.SSLContext):
    """TLS 1.2 or newer to whoever answers; whom it was is kept, to be held against what is learnt afterwards."""

    presented: list[bytes]  # of the last connection, as DER

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As in the standard library."""
        wrapped = super().wrap_socket(*args, **kwargs)
        self.presented = presented_chain(wrapped)
        return wrapped

    def wrap_bio(self, *_args: Any, **_kwargs: Any) -> ssl.SSLObject:
        """Refused, as for PinnedContext."""
        raise NotImplementedError("a context of the first use is for sockets only")


def first_use() -> FirstUseContext:
    """A context that believes nobody yet: for an introduction, whose answer says whom to pin."""
    context = FirstUseContext(ssl.PROTOCOL_TLS_CLIENT)
    _look_at_nothing(context)
    context.presented = []
    return context


def _look_at_nothing(context: ssl.SSLContext) -> None:
    """What decides is looked at elsewhere."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # who was checked is who stays


def pinned(pins: Sequence[str]) -> ssl.SSLContext:
    """A context that believes these pins, current and next."""
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    _look_at_nothing(context)  # the pins decide, in wrap_socket
    context.pins = frozenset(pins)
    return context


def chained(ca_file: Path | None) -> ssl.SSLContext:
    """A context that believes the system's CAs, or those of the file alone, and checks dates and host name.

    Raises OSError (ssl.SSLError is one) for a file that cannot be used.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def presented_chain(wrapped: ssl.SSLSocket) -> list[bytes]:
    """The certificates the other side sent, leaf first, as DER."""
    if sys.version_info >= (3, 13):
        return cast("list[bytes]", wrapped.get_unverified_chain())
    inner = cast("Any", wrapped)._sslobj  # noqa: SLF001 public only from Python 3.13
    return [ssl.PEM_cert_to_DER_cert(cert.public_bytes()) for cert in inner.get_unverified_chain() or ()]


def check_pins(chain: Sequence[bytes], pins: frozenset[str]) -> None:
    """A pinned certificate must be the leaf or have signed the leaf itself. Raises PinMismatch."""
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain[:MOST_PRESENTED]]
        if any(_pin(one) in pins and _vouches(one, certificates[0]) for one in certificates):
            return
    except (ValueError, UnsupportedAlgorithm):
        raise PinMismatch("the API's certificate cannot be read") from None
    raise PinMismatch("the API's certificate is not one this host was enrolled with: no pinned key stands behind it")


def _pin(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _vouches(signer: x509.Certificate, leaf: x509.Certificate) -> bool:
    if signer == leaf:
        return True
    try:
        leaf.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
