"""What stands in a follower's manifest."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from certline_master.domain.model import (
    Certificate,
    Failure,
    FailureClass,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Version,
    VersionState,
)
from certline_master.domain.placement import Trust, manifest_of, wanted_requests
from certline_shared.keys import KeyType
from certline_shared.manifest import ManifestLine, content_tag

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRUST = Trust((b"k" * 32,), ("ab" * 32,), epoch=3)
FOLLOWER = Follower("f-1", "web-1", Owner.API, FollowerState.ACTIVE, manifest_serial=7)
LINE = Line("l-1", "shop", Owner.FILE, "f-1", ("shop.example",))
CSR = LineCsr(KeyType.ECDSA_P256, b"csr", "aa" * 32, ("shop.example",))
CERTIFICATE = Certificate(
    "c-1", "v-1", KeyType.ECDSA_P256, b"csr", "aa" * 32, ("shop.example",), "PEM", not_after=NOW + timedelta(days=90)
)
LIVE = Version("v-1", "l-1", 2, VersionState.LIVE, NOW, "the first certificate", (CERTIFICATE,))


def snapshot(
    line: Line = LINE, *, csrs: tuple[LineCsr, ...] = (CSR,), versions: tuple[Version, ...] = ()
) -> LineSnapshot:
    return LineSnapshot(line, None, csrs, versions, FOLLOWER)


def only_line(*snapshots: LineSnapshot) -> ManifestLine:
    (line,) = manifest_of(FOLLOWER, snapshots, TRUST, now=NOW).lines
    return line


def failed(number: int) -> Version:
    failure = Failure(FailureClass.NEEDS_PERSON, "the CA refuses this name")
    return Version(f"v-{number}", "l-1", number, VersionState.FAILED, NOW, "renewal", failure=failure)


def test_it_says_whom_it_is_for_and_whom_to_trust() -> None:
    manifest = manifest_of(FOLLOWER, (), TRUST, now=NOW)
    assert (manifest.follower_id, manifest.epoch, manifest.serial) == ("f-1", 3, 7)
    assert (manifest.signing_keys, manifest.tls_pins) == (TRUST.signing_keys, TRUST.tls_pins)


def test_it_is_good_for_thirty_days() -> None:
    manifest = manifest_of(FOLLOWER, (), TRUST, now=NOW)
    assert (manifest.issued_at, manifest.expires_at) == ("2026-11-20T12:00:00Z", "2026-12-20T12:00:00Z")


def test_only_names_granted_for_requests_are_listed_in_order() -> None:
    grants = (
        Grant(GrantKind.REQUEST, "b.example"), Grant(GrantKind.PULL, "shop"), Grant(GrantKind.REQUEST, "*.a.example"),
    )  # fmt: skip
    assert manifest_of(replace(FOLLOWER, grants=grants), (), TRUST, now=NOW).grants == ("*.a.example", "b.example")


def test_the_files_of_the_live_version_are_named_with_hash_and_length() -> None:
    line = only_line(snapshot(versions=(LIVE,)))
    (file,) = line.files
    assert (file.name, file.length) == ("ecdsa-p256/chain.pem", 3)
    assert file.sha256 == hashlib.sha256(b"PEM").hexdigest()
    assert (line.version, line.not_after) == (2, "2027-02-18T12:00:00Z")
    assert line.spki_sha256 == {"ecdsa-p256": "aa" * 32}


def test_before_the_first_version_there_is_nothing_to_install() -> None:
    line = only_line(snapshot())
    assert (line.version, line.files, line.not_after) == (None, (), None)


def test_a_request_is_wanted_for_each_key_type_that_has_none_for_exactly_these_names() -> None:
    line = replace(LINE, key_types=(KeyType.ECDSA_P256, KeyType.RSA_2048))
    assert wanted_requests(line, (CSR,)) == (KeyType.RSA_2048,)
    assert wanted_requests(line, (replace(CSR, names=("shop.example", "www.shop.example")),)) == line.key_types
    assert [wanted.key_type for wanted in only_line(snapshot(csrs=())).csr_wanted] == ["ecdsa-p256"]


def test_a_followers_own_line_is_called_as_in_its_own_file() -> None:
    own = replace(LINE, name="blog@web-1", owner=Owner.FOLLOWER)
    assert only_line(snapshot(own)).name == "blog"


def test_an_operators_line_takes_the_place_of_the_followers_own_of_that_name() -> None:
    own = replace(LINE, id="l-2", name="shop@web-1", owner=Owner.FOLLOWER, names=("other.example",))
    assert only_line(snapshot(own), snapshot()).names == ("shop.example",)
    assert only_line(snapshot(), snapshot(own)).names == ("shop.example",)


def test_what_made_the_newest_version_fail_is_told() -> None:
    assert only_line(snapshot(versions=(failed(3), LIVE))).error == "the CA refuses this name"
    assert only_line(snapshot(versions=(failed(1),))).error == "the CA refuses this name"


def test_a_failure_before_the_live_version_is_history() -> None:
    assert only_line(snapshot(versions=(LIVE, failed(1)))).error is None


def test_the_content_tag_does_not_depend_on_time_or_the_order_of_lines() -> None:
    other = replace(LINE, id="l-2", name="blog", names=("blog.example",))
    one = manifest_of(FOLLOWER, (snapshot(), snapshot(other)), TRUST, now=NOW)
    two = manifest_of(FOLLOWER, (snapshot(other), snapshot()), TRUST, now=NOW + timedelta(days=1))
    assert content_tag(one) == content_tag(two)
    assert content_tag(one) != content_tag(manifest_of(FOLLOWER, (snapshot(),), TRUST, now=NOW))
