"""What a TLS service and a host's files must be, in the words of the field."""

import socket
import ssl
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def serial_of(pem: bytes | str) -> str:
    """The serial of the first certificate, lower-case hex."""
    return serial_text(x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem)[0])


def serial_text(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def same_serial(one: str, other: str) -> bool:
    return int(one.replace(":", ""), 16) == int(other.replace(":", ""), 16)


def names_of(pem: bytes) -> set[str]:
    """The DNS names of the first certificate."""
    first = x509.load_pem_x509_certificates(pem)[0]
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))


def assert_pair(chain_pem: bytes, key_pem: bytes) -> None:
    """The key is the one of the chain's first certificate, and each certificate is signed by the next."""
    chain = x509.load_pem_x509_certificates(chain_pem)
    assert _public(load_pem_private_key(key_pem, password=None).public_key()) == _public(chain[0].public_key()), (
        f"the key is not the key of certificate {serial_text(chain[0])}"
    )
    for signed, signer in pairwise(chain):
        signed.verify_directly_issued_by(signer)


def assert_installed(folder: Path, serial: str, *, chain: str = "fullchain.pem", key: str = "key.pem") -> None:
    """The host's files hold this certificate, with its key and chain."""
    chain_pem = (folder / chain).read_bytes()
    assert same_serial(serial_of(chain_pem), serial)
    assert_pair(chain_pem, (folder / key).read_bytes())


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def served_serial(port: int, name: str, roots: str, *, address: str = "127.0.0.1") -> str:
    """The serial of what a TLS server presents, once the handshake showed it to be trusted, for `name`, with its key.

    Raises OSError (ssl.SSLError is one) when it is not.
    """
    context = ssl.create_default_context(cadata=roots)
    with (
        socket.create_connection((address, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        presented = secured.getpeercert(binary_form=True)
    return serial_text(x509.load_der_x509_certificate(presented or b""))


def serves(port: int, name: str, roots: str, serial: str) -> bool:
    """Whether a TLS server on loopback presents this certificate and proves that it has its key."""
    try:
        return same_serial(served_serial(port, name, roots), serial)
    except OSError:
        return False
