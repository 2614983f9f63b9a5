"""What is carried by hand to a host without any connection, and the receipt that is carried back (protocol, 11)."""

from dataclasses import dataclass, field

from certline_shared import codec, manifest, signing
from certline_shared.manifest import SignedManifest
from certline_shared.messages import LineWish, Report, VersionContent

BUNDLE = "certline-bundle/1"
RECEIPT = "certline-receipt/1"
MOST_BUNDLE_BYTES = 33_554_432
MOST_RECEIPT_BYTES = 1_048_576

_SIGNED_PREFIX = b"certline-receipt/1\n"


class BadBundle(ValueError):
    """A bundle or receipt that must not be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A follower's manifest with all that it lists. Its authenticity is the manifest's, by signature and hashes."""

    format: str
    manifest: SignedManifest
    versions: tuple[VersionContent, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the host says back: how far it came, and what it wishes."""

    format: str
    follower_id: str
    seq: int  # of the follower's changing requests: one that was overtaken is refused
    nonce: str
    time: str  # by the host's own clock
    report: Report
    wishes: dict[str, LineWish] = field(default_factory=dict)  # by the line's name in the follower's file


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """The wire form: the canonical bytes of the receipt and the follower's Ed25519 signature over
    b"certline-receipt/1\\n" + those bytes."""

    receipt: bytes
    signature: bytes
    keyid: str  # the follower's id


def to_bytes(bundle: Bundle) -> bytes:
    """Canonical JSON."""
    return codec.write(bundle)


def read_bundle(body: bytes) -> Bundle:
    """Raises BadBundle."""
    try:
        bundle = codec.read(Bundle, body, most_bytes=MOST_BUNDLE_BYTES)
    except codec.BadMessage as error:
        raise BadBundle(f"not a bundle: {error}") from None
    if bundle.format != BUNDLE:
        raise BadBundle(f"a bundle of the format {bundle.format[:40]!a}: this side reads {BUNDLE}")
    return bundle


def check_contents(bundle: Bundle, made: manifest.Manifest) -> dict[tuple[str, int], VersionContent]:
    """The versions by line and number, if they are all that the manifest lists and nothing else. Raises BadBundle."""
    found = {(one.line, one.version): one for one in bundle.versions}
    listed = {(line.name, line.version): line for line in made.lines if line.version is not None}
    if len(found) < len(bundle.versions) or set(found) != set(listed):
        raise BadBundle("mix and match: the bundle's versions are not those that its manifest lists")
    for (name, number), line in listed.items():
        try:
            manifest.check_files(line.files, found[name, number or 0].files)
        except manifest.BadManifest as error:
            raise BadBundle(f"line {name}, version {number}: {error}") from None
    return found


def sign_receipt(receipt: Receipt, private: bytes) -> bytes:
    """The receipt's file, signed by the follower's raw identity key."""
    body = codec.write(receipt)
    return codec.write(SignedReceipt(body, signing.sign(private, _SIGNED_PREFIX + body), receipt.follower_id))


def read_receipt(body: bytes) -> SignedReceipt:
    """Who is said to have signed it. Raises BadMessage."""
    return codec.read(SignedReceipt, body, most_bytes=MOST_RECEIPT_BYTES)


def open_receipt(signed: SignedReceipt, public: bytes, follower_id: str) -> Receipt:
    """The receipt, if that follower signed it by that key. Raises BadBundle, and BadMessage for what cannot be read."""
    if signed.keyid != follower_id or not signing.verify(public, signed.signature, _SIGNED_PREFIX + signed.receipt):
        raise BadBundle("the receipt is not signed by this follower's key")
    receipt = codec.read(Receipt, signed.receipt, most_bytes=MOST_RECEIPT_BYTES)
    if receipt.format != RECEIPT or receipt.follower_id != follower_id:
        raise BadBundle(f"not a receipt of the format {RECEIPT} from this follower")
    return receipt
