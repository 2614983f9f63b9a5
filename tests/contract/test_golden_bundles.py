"""The golden bundle and receipt: what is carried to a host without a connection, and back (docs/protocol.md)."""

import hashlib
from dataclasses import replace

from certline_shared import bundles, codec, keys, manifest, messages, sealing
from certline_shared.bundles import Bundle, Receipt
from certline_shared.messages import DeploymentReport, LineWish, Report, VersionContent
from tests.contract.test_golden_messages import (
    CHAIN,
    CHAIN_FILE,
    CSR,
    FOLLOWER,
    IDENTITY,
    KEYS,
    LINE_KEY,
    MANIFEST,
    MASTER,
    NONCE,
    NOW,
    raw,
    values,
)

KEY_FILE = "ecdsa-p256/key.sealed"
FILES = {CHAIN_FILE: CHAIN, KEY_FILE: values("sealed-key.json")["sealed"]}
LISTED = tuple(
    manifest.ManifestFile(name, hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))
    for name, text in FILES.items()
)
CARRIED = replace(MANIFEST, lines=(replace(MANIFEST.lines[1], files=LISTED, rollback=False, custody="master"),))
BUNDLE = Bundle(bundles.BUNDLE, manifest.sign(CARRIED, KEYS["master"]), (VersionContent("shop", 3, FILES),))
SHOP = DeploymentReport("shop", 3, "reloaded", goal="reloaded")
RECEIPT = Receipt(
    format=bundles.RECEIPT,
    follower_id=FOLLOWER,
    seq=1_795_176_000_123,
    nonce=NONCE,
    time="2026-11-20T12:05:00Z",
    report=Report(
        "certline-follower 0.2.0",
        41,
        (SHOP,),
        epoch=1_795_000_000,
        keys={"shop": (keys.spki_sha256(LINE_KEY),)},
    ),
    wishes={"mail": LineWish(("mail.example.org",), {"ecdsa-p256": CSR})},
)


def test_the_golden_bundle_is_what_we_write_and_may_be_used_by_its_follower() -> None:
    assert bundles.to_bytes(BUNDLE) == raw("bundle.json")
    bundle = bundles.read_bundle(raw("bundle.json"))
    opened = manifest.open_signed(
        bundle.manifest, keys=(MASTER,), follower_id=FOLLOWER, epoch=MANIFEST.epoch, serial=41, now=NOW
    )
    assert opened == CARRIED
    content = bundles.check_contents(bundle, opened)["shop", 3]
    info = sealing.key_info(FOLLOWER, "shop", 3, "ecdsa-p256")
    sealed = codec.from_base64url(content.files[KEY_FILE])
    assert sealing.open_sealed(sealed, KEYS["sealing"], info) == KEYS["line_key_pem"]


def test_the_golden_receipt_verifies_and_is_signed_the_same() -> None:
    assert codec.write(RECEIPT) == raw("receipt.json")
    assert bundles.sign_receipt(RECEIPT, KEYS["identity"]) == raw("signed-receipt.json")
    signed = bundles.read_receipt(raw("signed-receipt.json"))
    assert signed.receipt == raw("receipt.json")
    assert bundles.open_receipt(signed, IDENTITY, FOLLOWER) == RECEIPT


def test_a_golden_receipts_parts_are_the_messages_of_the_network() -> None:
    assert messages.decode(Report, messages.encode(RECEIPT.report)) == RECEIPT.report
    assert {messages.decode(LineWish, messages.encode(wish)) == wish for wish in RECEIPT.wishes.values()} == {True}
