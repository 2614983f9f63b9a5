"""PKCS #12 containers of a key, its certificate and the chain (RFC 7292)."""

from certline_follower.generation import LineMaterial


def pkcs12(material: LineMaterial, password: bytes | None, *, legacy: bool) -> bytes:
    """`legacy`: by Triple DES and SHA-1, for programs that know nothing newer; needs a password.

    Raises ValueError for a key that its passphrase does not open.
    """
    from cryptography import x509  # late: idle turns go without it
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat
    from cryptography.hazmat.primitives.serialization import pkcs12 as format12

    from certline_shared import keys

    leaf, *issuers = x509.load_pem_x509_certificates(material.chain_pem.encode())
    builder = PrivateFormat.PKCS12.encryption_builder()
    if legacy:
        builder = builder.key_cert_algorithm(format12.PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(hashes.SHA1())  # noqa: S303 what the old format is made of
    else:
        builder = builder.key_cert_algorithm(format12.PBES.PBESv2SHA256AndAES256CBC).hmac_hash(hashes.SHA256())
    key = keys.from_pem(material.key_pem, material.passphrase)
    cipher = builder.build(password) if password else NoEncryption()
    return format12.serialize_key_and_certificates(material.line.encode(), key, leaf, issuers, cipher)
