"""A host without any connection: bundles that are carried to it, and the receipts that are carried back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower import carried
from certline_follower.carried import Applied
from certline_shared import bundles, keys, signing
from certline_shared.bundles import BadBundle, Bundle, Receipt
from certline_shared.manifest import Manifest
from certline_shared.messages import VersionContent
from tests.fakes.master import FOLLOWER_ID, FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock, killed_at

NAME = "shop.example.org"


@pytest.fixture
def gapped(bed: Bed, master: FakeMaster) -> Bed:
    """An enrolled host that asks nobody from here on, and has a line whose key the master keeps."""
    master.share("shop", NAME)
    bed.configure(bed.line("shop"))
    return bed


def carry(bed: Bed, bundle: Bundle) -> Applied:
    return carried.apply(bed.host(), bundles.read_bundle(bundles.to_bytes(bundle)))


def receipt_of(bed: Bed, applied: Applied) -> Receipt:
    public = signing.identity_public(bed.host().identity.identity_key)
    return bundles.open_receipt(bundles.read_receipt(applied.receipt), public, FOLLOWER_ID)


def test_what_was_carried_is_installed_without_a_single_request(gapped: Bed, master: FakeMaster) -> None:
    asked = len(master.asked(""))
    applied = carry(gapped, master.bundle())
    assert applied.outcome.failures == []
    assert master.made_keys[0].strip() in gapped.shown("shop")
    assert gapped.reloads() == 1
    assert len(master.asked("")) == asked


def test_the_receipt_tells_how_far_each_line_is_and_which_keys_are_here(gapped: Bed, master: FakeMaster) -> None:
    receipt = receipt_of(gapped, carry(gapped, master.bundle()))
    (deployment,) = receipt.report.deployments
    assert (deployment.line, deployment.version, deployment.state) == ("shop", 1, "reloaded")
    assert receipt.report.manifest_serial == master.serial
    assert receipt.report.keys == {"shop": (keys.spki_sha256(keys.from_pem(master.made_keys[0].encode())),)}
    assert receipt.wishes == {}


def test_the_same_bundle_again_changes_nothing_and_gives_a_newer_receipt(gapped: Bed, master: FakeMaster) -> None:
    bundle = master.bundle()
    first, second = (receipt_of(gapped, carry(gapped, bundle)) for _ in range(2))
    assert gapped.reloads() == 1
    assert second.seq > first.seq
    assert second.nonce != first.nonce
    assert second.report == first.report


def test_a_line_of_the_hosts_own_goes_there_and_back_twice(bed: Bed, master: FakeMaster) -> None:
    applied = carry(bed, master.bundle())
    assert applied.wished == ("shop",)
    receipt = master.hear(applied.receipt)
    assert receipt.wishes["shop"].names == (NAME,)
    assert keys.read_csr(receipt.wishes["shop"].csrs["ecdsa-p256"]).names == (NAME,)
    applied = carry(bed, master.bundle())
    assert (applied.wished, applied.outcome.failures) == ((), [])
    assert master.lines["shop"].versions[1]["ecdsa-p256/chain.pem"] in bed.shown("shop")


def test_a_wish_whose_receipt_was_lost_is_in_the_next_one_too(bed: Bed, master: FakeMaster) -> None:
    first, second = (receipt_of(bed, carry(bed, master.bundle())) for _ in range(2))
    pins = [keys.read_csr(one.wishes["shop"].csrs["ecdsa-p256"]).spki_sha256 for one in (first, second)]
    assert pins[0] == pins[1]


def test_a_host_that_comes_online_again_goes_on_from_where_the_bundle_left_it(gapped: Bed, master: FakeMaster) -> None:
    carry(gapped, master.bundle())
    assert not gapped.settle().failures
    assert gapped.reloads() == 1
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (1, "reloaded")


@pytest.mark.parametrize("place", carried.FAILPOINTS)
def test_a_kill_on_the_way_is_made_good_by_the_same_bundle(gapped: Bed, master: FakeMaster, place: str) -> None:
    bundle = master.bundle()
    with killed_at(place):
        carry(gapped, bundle)
    applied = carry(gapped, bundle)
    assert applied.outcome.failures == []
    assert master.made_keys[0].strip() in gapped.shown("shop")
    (deployment,) = receipt_of(gapped, applied).report.deployments
    assert (deployment.version, deployment.state) == (1, "reloaded")


# What is refused (B9, by file)


def test_a_bundle_from_before_what_was_followed_online_is_refused(gapped: Bed, master: FakeMaster) -> None:
    old = master.bundle()
    master.issue("shop")
    gapped.settle()
    assert_refused(gapped, old, "rollback")


def test_an_older_manifest_online_is_refused_after_a_newer_bundle(gapped: Bed, master: FakeMaster) -> None:
    master.tampering.manifest = lambda made: replace(made, serial=made.serial + 10)
    carry(gapped, master.bundle())
    before = gapped.shown("shop")
    master.tampering.manifest = None
    master.issue("shop")
    assert "rollback" in str(gapped.turn().away)
    assert gapped.shown("shop") == before


def test_an_expired_bundle_is_refused_by_the_hosts_clock_and_says_so(gapped: Bed, master: FakeMaster) -> None:
    carry(gapped, master.bundle())
    master.issue("shop")
    bundle = master.bundle()
    gapped.clock = MovableClock(timedelta(days=31))
    assert_refused(gapped, bundle, r"freeze.*this host's clock says .*: set the clock, or have a new bundle made")
    gapped.clock = MovableClock(timedelta(days=29))
    assert not carry(gapped, bundle).outcome.failures


def _content(change: Callable[[VersionContent], VersionContent]) -> Callable[[Bundle], Bundle]:
    return lambda made: replace(made, versions=tuple(change(one) for one in made.versions))


def _manifest(master: FakeMaster, change: Callable[[Manifest], Manifest]) -> Bundle:
    master.tampering.manifest = change
    return master.bundle()


CONTENTS: dict[str, tuple[Callable[[Bundle], Bundle], str]] = {
    "another text": (
        _content(lambda one: replace(one, files={name: text + "\n" for name, text in one.files.items()})), "hash"
    ),
    "an extra file": (_content(lambda one: replace(one, files={**one.files, "../../x": "x"})), "not what the manifest"),
    "a file less": (_content(lambda one: replace(one, files=dict(list(one.files.items())[1:]))), "not what the manife"),
    "another number": (_content(lambda one: replace(one, version=9)), "mix and match"),
    "another line's version": (_content(lambda one: replace(one, line="mail")), "mix and match"),
    "a version twice": (lambda made: replace(made, versions=made.versions * 2), "mix and match"),
    "no version": (lambda made: replace(made, versions=()), "mix and match"),
    "another format": (lambda made: replace(made, format="certline-bundle/2"), "certline-bundle/1"),
    "another signature": (
        lambda made: replace(made, manifest=replace(made.manifest, signature=b"x" * 64)), "signature does not hold"
    ),
    "another manifest under the signature": (
        lambda made: replace(made, manifest=replace(made.manifest, manifest=b"{}")), "signature does not hold"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", CONTENTS)
def test_a_bundle_that_was_changed_on_its_way_is_refused_as_a_whole(gapped: Bed, master: FakeMaster, how: str) -> None:
    carry(gapped, master.bundle())
    master.issue("shop")
    change, why = CONTENTS[how]
    assert_refused(gapped, change(master.bundle()), why)


MANIFESTS: dict[str, tuple[Callable[[Manifest], Manifest], str]] = {
    "for another follower": (lambda made: replace(made, follower_id="someone-else"), "another follower"),
    "of a lower epoch": (lambda made: replace(made, epoch=0), "rollback"),
    "of a lower serial": (lambda made: replace(made, serial=0), "rollback"),
    "of another protocol": (lambda made: replace(made, protocol=2), "protocol 2"),
    "with a line of a lower version": (
        lambda made: replace(made, serial=made.serial + 1, lines=(replace(made.lines[0], version=1),)), "unmarked"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", MANIFESTS)
def test_a_bundle_whose_manifest_breaks_a_rule_is_refused(gapped: Bed, master: FakeMaster, how: str) -> None:
    master.issue("shop")
    carry(gapped, master.bundle())
    change, why = MANIFESTS[how]
    assert_refused(gapped, _manifest(master, change), why)


def test_a_bundle_of_another_master_is_refused(gapped: Bed, master: FakeMaster) -> None:
    carry(gapped, master.bundle())
    master.tampering.signing_key = signing.generate_identity()[0]
    assert_refused(gapped, master.bundle(), "a key that is not the master's")


def test_a_marked_rollback_is_followed(gapped: Bed, master: FakeMaster) -> None:
    master.issue("shop")
    carry(gapped, master.bundle())
    master.set_line("shop", live=1, rollback=True)
    assert not carry(gapped, master.bundle()).outcome.failures
    assert master.made_keys[0].strip() in gapped.shown("shop")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"{" * 50, b'{"format":"certline-bundle/1"}'])
def test_what_is_no_bundle_is_told_so(text: bytes) -> None:
    with pytest.raises(BadBundle, match="not a bundle"):
        bundles.read_bundle(text)


def test_a_receipt_that_was_changed_is_not_believed(gapped: Bed, master: FakeMaster) -> None:
    file = carry(gapped, master.bundle()).receipt
    public = signing.identity_public(gapped.host().identity.identity_key)
    signed = bundles.read_receipt(file)
    for changed in (
        replace(signed, receipt=signed.receipt.replace(b"reloaded", b"served")),
        replace(signed, signature=bytes(64)),
        replace(signed, keyid="someone-else"),
    ):
        with pytest.raises(BadBundle, match="not signed by this follower"):
            bundles.open_receipt(changed, public, FOLLOWER_ID)


def assert_refused(bed: Bed, bundle: Bundle, why: str) -> None:
    host = bed.host()
    state, shown, reloads = host.state, bed.shown("shop"), bed.reloads()
    with pytest.raises(BadBundle, match=why):
        carry(bed, bundle)
    assert bed.host().state == state
    assert (bed.shown("shop"), bed.reloads()) == (shown, reloads)


# The command


def follower(bed: Bed, *words: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), *words]
    return subprocess.run(command, env=dict(os.environ), input=text, capture_output=True, timeout=60, check=False)


def test_the_command_applies_a_file_and_writes_the_receipt(bed: Bed, master: FakeMaster, tmp_path: Path) -> None:
    file, receipt = tmp_path / "bundle.json", tmp_path / "receipt.json"
    file.write_bytes(bundles.to_bytes(master.bundle()))
    done = follower(bed, "apply-bundle", str(file), "--receipt", str(receipt), "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["wished"], told["failures"], told["receipt"]) == (["shop"], [], str(receipt))
    assert f"carry {receipt} to the master: it asks for shop" in done.stderr.decode()
    master.hear(receipt.read_bytes())
    done = follower(bed, "apply-bundle", "-", text=bundles.to_bytes(master.bundle()))
    assert done.returncode == 0, done.stderr
    assert b"install shop" in done.stdout
    assert master.lines["shop"].versions[1]["ecdsa-p256/chain.pem"] in bed.shown("shop")


def test_without_a_receipt_the_command_says_that_one_is_needed(bed: Bed, master: FakeMaster) -> None:
    done = follower(bed, "apply-bundle", "-", text=bundles.to_bytes(master.bundle()))
    assert done.returncode == 0
    assert "this host asks for shop: apply the bundle again with --receipt FILE" in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "text", "code", "said"),
    [
        (["apply-bundle", "-"], b"{}", 3, "not a bundle"),
        (["apply-bundle", "/nowhere"], b"", 2, "/nowhere: No such file"),
        (["apply-bundle"], b"", 2, "FILE"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(
    bed: Bed, words: list[str], text: bytes, code: int, said: str
) -> None:
    done = follower(bed, *words, text=text)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_receipt_that_cannot_be_written_is_told_and_the_bundle_is_in_use(
    gapped: Bed, master: FakeMaster, tmp_path: Path
) -> None:
    (tmp_path / "in-the-way").write_text("")
    done = follower(
        gapped, "apply-bundle", "-", "--receipt", str(tmp_path / "in-the-way/r"), text=bundles.to_bytes(master.bundle())
    )
    assert done.returncode == 4
    assert "its receipt not written" in done.stderr.decode()
    assert master.made_keys[0].strip() in gapped.shown("shop")
