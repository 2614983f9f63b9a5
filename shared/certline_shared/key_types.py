"""The kinds of key, apart from the cryptography that makes them: reading a settings file must not load it (0.1 s)."""

from enum import StrEnum


class KeyType(StrEnum):
    """The kinds of key a certificate may have."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ECDSA_P521 = "ecdsa-p521"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
