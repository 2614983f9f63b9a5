"""A sealed secret opens for one follower and one use."""

import pytest

from certline_shared import sealing

PRIVATE, PUBLIC = sealing.generate()
INFO = sealing.key_info("f-1", "shop", 3, "ecdsa-p256")


def test_what_was_sealed_opens_with_the_stored_key() -> None:
    assert sealing.open_sealed(sealing.seal(b"a private key", PUBLIC, INFO), PRIVATE, INFO) == b"a private key"


def test_the_public_half_follows_from_the_stored_private_bytes() -> None:
    assert sealing.public_of(PRIVATE) == PUBLIC
    assert (len(PRIVATE), len(PUBLIC)) == (sealing.PRIVATE_BYTES, sealing.PUBLIC_BYTES)


def test_two_seals_of_one_secret_differ() -> None:
    assert sealing.seal(b"x", PUBLIC, INFO) != sealing.seal(b"x", PUBLIC, INFO)


@pytest.mark.parametrize(
    "other",
    [
        sealing.key_info("f-2", "shop", 3, "ecdsa-p256"),
        sealing.key_info("f-1", "shop2", 3, "ecdsa-p256"),
        sealing.key_info("f-1", "shop", 4, "ecdsa-p256"),
        sealing.key_info("f-1", "shop", 3, "rsa-2048"),
        b"",
    ],
)
def test_it_does_not_open_for_another_follower_line_version_or_kind(other: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed to this key for this use"):
        sealing.open_sealed(sealing.seal(b"x", PUBLIC, INFO), PRIVATE, other)


def test_it_does_not_open_with_another_key_or_when_changed_or_cut() -> None:
    sealed = sealing.seal(b"x", PUBLIC, INFO)
    stranger, _ = sealing.generate()
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for text, key in ((sealed, stranger), (changed, PRIVATE), (sealed[:-1], PRIVATE), (b"", PRIVATE)):
        with pytest.raises(ValueError, match="not sealed to this key"):
            sealing.open_sealed(text, key, INFO)


def test_bytes_that_are_no_key_are_refused() -> None:
    for public in (b"", PUBLIC[:-1], b"\xff" * sealing.PUBLIC_BYTES):
        with pytest.raises(ValueError, match="public"):
            sealing.check_public(public)
    with pytest.raises(ValueError, match="96 bytes"):
        sealing.public_of(PRIVATE[:-1])
    sealing.check_public(PUBLIC)
