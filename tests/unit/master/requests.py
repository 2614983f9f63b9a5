"""Certificate signing requests for tests."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def in_pem(der: bytes) -> str:
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM).decode()
