"""A manifest is followed only if the master signed it, for this host, and it is not older than the last one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certline_shared import codec, manifest, signing
from certline_shared.manifest import BadManifest, CsrWanted, Manifest, ManifestFile, ManifestLine, SignedManifest

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRIVATE, PUBLIC = signing.generate_identity()
NEXT_PRIVATE, NEXT = signing.generate_identity()
STRANGER, _ = signing.generate_identity()
FILE = ManifestFile("ecdsa-p256/chain.pem", "ab" * 32, 3_000)
LINE = ManifestLine(
    "shop",
    ("shop.example.org",),
    ("ecdsa-p256", "rsa-2048"),
    (CsrWanted("rsa-2048", "next"), CsrWanted("rsa-2048")),
    3,
    (FILE,),
    {"ecdsa-p256": "cd" * 32},
    "2027-02-18T12:00:00Z",
)
MANIFEST = Manifest(
    "f-1", 1_700_000_000, 41, "2026-11-20T12:00:00Z", "2026-12-20T12:00:00Z", ("shop.example.org",), (PUBLIC, NEXT),
    ("ef" * 32,), (LINE,),
)  # fmt: skip


def opened(
    signed: SignedManifest,
    *,
    keys: tuple[bytes, ...] = (PUBLIC, NEXT),
    follower_id: str = "f-1",
    epoch: int = MANIFEST.epoch,
    serial: int = 41,
    now: datetime | None = NOW,
) -> Manifest:
    return manifest.open_signed(signed, keys=keys, follower_id=follower_id, epoch=epoch, serial=serial, now=now)


def signed(changed: Manifest = MANIFEST) -> SignedManifest:
    return manifest.sign(changed, PRIVATE)


def with_line(line: ManifestLine) -> SignedManifest:
    return signed(replace(MANIFEST, lines=(line,)))


def test_a_manifest_goes_over_the_wire_and_comes_back_the_same() -> None:
    assert opened(manifest.from_wire(manifest.to_wire(signed()))) == MANIFEST


def test_either_key_of_the_master_may_sign() -> None:
    assert opened(manifest.sign(MANIFEST, NEXT_PRIVATE)) == MANIFEST


def test_a_manifest_by_another_key_is_refused() -> None:
    with pytest.raises(BadManifest, match="not the master's"):
        opened(manifest.sign(MANIFEST, STRANGER))
    with pytest.raises(BadManifest, match="signature does not hold"):
        opened(replace(manifest.sign(MANIFEST, STRANGER), keyid=signing.thumbprint(PUBLIC)))


def test_a_changed_manifest_is_refused() -> None:
    true = signed()
    for changed in (
        replace(true, manifest=true.manifest.replace(b"41", b"42")),
        replace(true, manifest=true.manifest + b" "),
        replace(true, signature=true.signature[:-1]),
        replace(true, signature=signing.sign(PRIVATE, true.manifest)),
    ):
        with pytest.raises(BadManifest, match="signature does not hold"):
            opened(changed)


def test_the_manifest_of_another_follower_is_refused() -> None:
    with pytest.raises(BadManifest, match="another follower"):
        opened(signed(), follower_id="f-2")


def test_rollback_a_lower_serial_in_the_same_epoch_is_refused_and_the_same_one_is_not() -> None:
    assert opened(signed(), serial=41).serial == 41
    with pytest.raises(BadManifest, match="rollback: the manifest's serial 41 is lower than 42"):
        opened(signed(), serial=42)


def test_a_restored_master_raises_the_epoch_and_its_serial_may_begin_anew() -> None:
    assert opened(signed(), epoch=MANIFEST.epoch - 1, serial=9_999).serial == 41
    with pytest.raises(BadManifest, match="rollback: the manifest's epoch"):
        opened(signed(), epoch=MANIFEST.epoch + 1, serial=0)


def test_freeze_an_expired_manifest_is_refused_unless_the_answer_itself_was_fresh() -> None:
    late = NOW + timedelta(days=30)
    with pytest.raises(BadManifest, match="freeze: the manifest expired at 2026-12-20T12:00:00Z"):
        opened(signed(), now=late)
    assert opened(signed(), now=late - timedelta(seconds=1)) == MANIFEST
    assert opened(signed(), now=None) == MANIFEST


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "ecdsa-p256/../x",
        "ecdsa-p256/..",
        "ecdsa-p256/.",
        "ecdsa-p256/a/b",
        "ecdsa-p256//x",
        "chain.pem",
        "ECDSA/chain.pem",
        "ecdsa-p256/cha\0in",
        "ecdsa-p256/chain\n",
        "ecdsa-p256/" + "x" * 300,
        "",
    ],
)
def test_a_file_name_that_may_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(BadManifest, match="may lead elsewhere"):
        opened(with_line(replace(LINE, files=(FILE, replace(FILE, name=name)))))


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "", "..", "Shop", "x" * 64, "a\0"])
def test_a_line_name_that_may_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(BadManifest, match="the line name"):
        opened(with_line(replace(LINE, name=name)))


@pytest.mark.parametrize(
    "file",
    [replace(FILE, sha256="AB" * 32), replace(FILE, sha256=""), replace(FILE, length=-1), replace(FILE, length=2**31)],
)
def test_a_hash_or_length_that_cannot_be_right_is_refused(file: ManifestFile) -> None:
    with pytest.raises(BadManifest, match="hash or length"):
        opened(with_line(replace(LINE, files=(file,))))


def test_mix_and_match_one_line_or_file_twice_is_refused() -> None:
    with pytest.raises(BadManifest, match="one line twice"):
        opened(signed(replace(MANIFEST, lines=(LINE, replace(LINE, version=2)))))
    with pytest.raises(BadManifest, match="one file twice"):
        opened(with_line(replace(LINE, files=(FILE, replace(FILE, length=1)))))


def test_a_manifest_for_another_protocol_or_without_its_times_is_refused() -> None:
    with pytest.raises(BadManifest, match="protocol 2"):
        opened(signed(replace(MANIFEST, protocol=2)))
    with pytest.raises(BadManifest, match="expected a time"):
        opened(signed(replace(MANIFEST, expires_at="never")))


def test_signed_bytes_that_are_no_manifest_are_refused() -> None:
    body = b'{"follower_id":"f-1"}'
    proof = signing.sign(PRIVATE, b"certline-manifest/1\n" + body)
    with pytest.raises(BadManifest, match="/epoch: this member is missing"):
        opened(SignedManifest(body, proof, signing.thumbprint(PUBLIC)))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"manifest":"e30"}', b'{"manifest":"=","signature":"","keyid":""}'])
def test_a_body_that_is_no_signed_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(BadManifest, match="not a signed manifest"):
        manifest.from_wire(body)


def test_what_a_newer_master_adds_to_the_signed_bytes_is_ignored_unless_critical() -> None:
    for more, critical in ((b',"zz":1}', False), (b',"zz":1,"crit":["zz"]}', True)):
        body = manifest.encode(MANIFEST)[:-1] + more
        proof = signing.sign(PRIVATE, b"certline-manifest/1\n" + body)
        newer = SignedManifest(body, proof, signing.thumbprint(PUBLIC))
        if critical:
            with pytest.raises(BadManifest, match="too old"):
                opened(newer)
        else:
            assert opened(newer) == MANIFEST


def test_the_entity_tag_changes_with_the_content_and_not_with_serial_or_times() -> None:
    tag = manifest.content_tag(MANIFEST)
    assert tag.startswith('"')
    assert tag.endswith('"')
    later = replace(MANIFEST, serial=42, issued_at="2026-11-21T12:00:00Z", expires_at="2026-12-21T12:00:00Z")
    assert manifest.content_tag(later) == tag
    assert manifest.content_tag(replace(MANIFEST, lines=(replace(LINE, version=4),))) != tag
    assert manifest.content_tag(replace(MANIFEST, epoch=MANIFEST.epoch + 1)) != tag


def test_a_manifest_of_many_lines_is_larger_than_a_request_may_be_and_still_read() -> None:
    many = replace(MANIFEST, lines=tuple(replace(LINE, name=f"line-{number}") for number in range(500)))
    wire = manifest.to_wire(signed(many))
    assert len(wire) > 65_536
    assert opened(manifest.from_wire(wire)) == many


def test_a_lines_version_goes_down_only_when_marked() -> None:
    manifest.check_versions(MANIFEST, {"shop": 3, "other": 9})
    manifest.check_versions(MANIFEST, {})
    with pytest.raises(BadManifest, match="from version 4 to 3 unmarked"):
        manifest.check_versions(MANIFEST, {"shop": 4})
    back = replace(MANIFEST, lines=(replace(LINE, rollback=True),))
    manifest.check_versions(back, {"shop": 4})
    assert b'"rollback":true' in codec.write(back)
