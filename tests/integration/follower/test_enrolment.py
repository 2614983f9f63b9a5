"""How a host becomes known to its master, and what it refuses on the way."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from certline_follower.enrolment import EnrolmentError
from certline_follower.identity import IdentityError, NotEnrolled
from certline_follower.master_faults import Unreachable, Untrusted
from certline_shared import enrolment, signing
from certline_shared.enrolment import BadEnrolmentString
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster, Reply
from tests.integration.follower.host_bed import Bed


def identity(bed: Bed) -> dict[str, object]:
    read: dict[str, object] = json.loads((bed.state_dir / "identity.json").read_text())
    return read


def test_an_enrolled_host_has_an_identity_that_only_its_user_reads(fresh_bed: Bed) -> None:
    fresh_bed.enrol()
    file = fresh_bed.state_dir / "identity.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert identity(fresh_bed)["follower"] == "host"
    assert not (fresh_bed.state_dir / "enrolment.json").exists()


def test_the_keys_are_on_disk_before_the_first_request(fresh_bed: Bed, master: FakeMaster) -> None:
    master.ready_replies = [Reply(503)]
    with pytest.raises(Unreachable):
        fresh_bed.enrol()
    begun = fresh_bed.state_dir / "enrolment.json"
    assert begun.stat().st_mode & 0o777 == 0o600
    assert "identity_key" in begun.read_text()
    assert not (fresh_bed.state_dir / "identity.json").exists()


def test_a_lost_answer_is_had_again_with_the_same_token_and_keys(fresh_bed: Bed, master: FakeMaster) -> None:
    token = master.token()
    master.tampering.after_signing = lambda _path, _reply: Reply(502)
    with pytest.raises(Unreachable):
        fresh_bed.enrol(token)
    master.tampering.after_signing = None
    fresh_bed.enrol(token)
    assert len(master.used) == 1


def test_a_master_that_asks_for_a_moment_gets_it(fresh_bed: Bed, master: FakeMaster) -> None:
    """One enrolment a second per address is all it takes, and a whole site may share one."""
    master.ready_replies = [Reply(429, headers={"Retry-After": "1"})] * 2
    before = fresh_bed.clock.monotonic()
    fresh_bed.enrol()
    assert fresh_bed.clock.monotonic() - before >= 2
    assert identity(fresh_bed)["follower"] == "host"


def test_an_enrolment_that_was_killed_at_its_very_end_is_good(fresh_bed: Bed, master: FakeMaster) -> None:
    token = master.token()
    fresh_bed.enrol(token)
    made = identity(fresh_bed)
    begun = {"identity_key": made["identity_key"], "sealing_key": made["sealing_key"], "nonce": "AAAA"}
    token_id = enrolment.from_text(token).token_id
    (fresh_bed.state_dir / "enrolment.json").write_text(json.dumps({"token_id": token_id, **begun}))
    fresh_bed.enrol(token)
    assert identity(fresh_bed) == made
    assert not (fresh_bed.state_dir / "enrolment.json").exists()
    with pytest.raises(EnrolmentError, match="enrolled already"):
        fresh_bed.enrol(token)


def test_a_used_token_is_refused_naming_what_to_do(fresh_bed: Bed, master: FakeMaster, tmp_path: Path) -> None:
    token = master.token()
    fresh_bed.enrol(token)
    other = Bed(tmp_path / "other", master)
    other.folder.mkdir()
    other.configure()
    with pytest.raises(EnrolmentError, match="was used by another host"):
        other.enrol(token)
    other.close()


def test_an_unknown_or_expired_token_is_refused_naming_its_expiry(fresh_bed: Bed, master: FakeMaster) -> None:
    token = master.token()
    master.secrets.clear()
    with pytest.raises(EnrolmentError, match=r"used, expired \(2.*Z\) or of another master"):
        fresh_bed.enrol(token)


def test_a_token_of_another_master_is_refused_at_its_certificate(
    fresh_bed: Bed, master: FakeMaster, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    text = enrolment.from_text(FakeMaster(other).token())
    with pytest.raises(Untrusted, match="no pinned key"):
        fresh_bed.enrol(enrolment.to_text(replace(text, origin=master.origin)))


@pytest.mark.parametrize("text", ["", "hello", "certline-enrol-2.abc", "certline-enrol-1.abc"])
def test_what_is_no_enrolment_string_is_refused(text: str) -> None:
    with pytest.raises(BadEnrolmentString):
        enrolment.from_text(text)


def test_a_cut_enrolment_string_is_noticed(master: FakeMaster) -> None:
    with pytest.raises(BadEnrolmentString, match="cut or changed"):
        enrolment.from_text(master.token()[:-5])


def test_a_master_with_another_signing_key_than_the_string_says_is_refused(fresh_bed: Bed, master: FakeMaster) -> None:
    token = master.token()
    master.signing_key, master.signing_public = signing.generate_identity()
    with pytest.raises(Untrusted, match="signing key"):
        fresh_bed.enrol(token)


def test_an_answer_of_someone_who_does_not_know_the_secret_is_refused(fresh_bed: Bed, master: FakeMaster) -> None:
    def another_name(_path: str, reply: Reply) -> Reply:
        return replace(reply, body=re.sub(rb'"follower":"host"', b'"follower":"evil"', reply.body))

    master.tampering.after_signing = another_name
    with pytest.raises(Untrusted, match="does not know the token's secret"):
        fresh_bed.enrol()
    assert not (fresh_bed.state_dir / "identity.json").exists()


def test_a_second_enrolment_is_refused_unless_the_identity_is_to_be_replaced(bed: Bed) -> None:
    first = identity(bed)
    with pytest.raises(EnrolmentError, match="enrolled already, as 'host'"):
        bed.enrol()
    assert identity(bed) == first
    bed.enrol(replace=True)
    assert identity(bed)["identity_key"] != first["identity_key"]


def test_a_failed_replacement_leaves_the_former_identity(bed: Bed, master: FakeMaster) -> None:
    first = identity(bed)
    master.ready_replies = [Reply(503)]
    with pytest.raises(Unreachable):
        bed.enrol(replace=True)
    assert identity(bed) == first


def test_a_replaced_identity_keeps_what_is_installed_and_reloads_nothing(bed: Bed) -> None:
    bed.settle()
    shown, reloads = bed.shown("shop"), bed.reloads()
    bed.enrol(replace=True)
    assert not bed.settle().failures
    assert bed.shown("shop") == shown
    assert bed.reloads() == reloads


def test_a_replaced_identity_follows_a_master_whose_serial_and_epoch_are_lower_now(
    bed: Bed, master: FakeMaster
) -> None:
    master.epoch, master.serial = 7, 40
    bed.settle()
    keys = {file.name: file.read_bytes() for file in bed.state_dir.glob("keys/shop/*")}
    master.epoch, master.serial = 2, 0
    master.lines.clear()
    assert "rollback" in str(bed.turn().away)
    bed.enrol(replace=True)
    outcome = bed.settle()
    assert (outcome.away, outcome.failures) == (None, [])
    state = bed.host().state
    assert (state.epoch, state.serial) == (2, master.serial)
    assert {file.name: file.read_bytes() for file in bed.state_dir.glob("keys/shop/*")} == keys
    assert master.last_report("shop") == DeploymentReport("shop", 1, "reloaded", goal="reloaded")


def test_after_a_replaced_identity_an_older_manifest_is_refused_as_ever(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    bed.enrol(replace=True)
    bed.settle()
    master.serial, master.tampering.manifest = 0, lambda made: replace(made, serial=0)
    master.set_line("shop", error="x")
    assert "rollback" in str(bed.turn().away)


def test_a_host_without_identity_says_what_to_run(fresh_bed: Bed) -> None:
    with pytest.raises(NotEnrolled, match="certline-follower enroll"):
        fresh_bed.host()


@pytest.mark.parametrize("damage", ["", "{", "garbage", '{"format":1}'])
def test_a_damaged_identity_is_never_made_anew_silently(bed: Bed, damage: str) -> None:
    file = bed.state_dir / "identity.json"
    file.write_text(damage)
    with pytest.raises(IdentityError, match="enroll --replace"):
        bed.host()
    assert file.read_text() == damage


def test_an_identity_of_a_newer_version_is_refused_naming_the_version(bed: Bed) -> None:
    file = bed.state_dir / "identity.json"
    file.write_text(file.read_text().replace('"format":1', '"format":7'))
    with pytest.raises(IdentityError, match=r"format 7.* reads up to 1"):
        bed.host()
