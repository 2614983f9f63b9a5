"""Whom a follower believes: pins and chains, signatures, clocks, and what it does with anything else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certline_follower import settings
from certline_follower.faults import SettingsError
from certline_follower.master_faults import Unreachable, Untrusted
from certline_shared import codec, signing
from certline_shared.manifest import Manifest, ManifestFile
from certline_shared.messages import VersionContent
from tests.fakes.master import FakeMaster, Reply
from tests.fakes.tls import TlsAuthority
from tests.integration.follower.host_bed import Bed, MovableClock

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def installed(bed: Bed, master: FakeMaster) -> str:
    """A host with version 1 installed and version 2 waiting for it."""
    bed.settle()
    master.issue("shop")
    return bed.shown("shop")


# TLS (security note, G7)


def test_an_expired_api_certificate_of_the_pinned_authority_works(bed: Bed, master: FakeMaster) -> None:
    master.present(master.api_authority.server_chain(since=PAST, until=PAST + timedelta(days=90)))
    assert not bed.settle().away


def test_an_api_certificate_for_another_host_name_of_the_pinned_authority_works(bed: Bed, master: FakeMaster) -> None:
    master.present(master.api_authority.server_chain(host="192.0.2.7"))
    assert not bed.settle().away


def test_a_certificate_of_another_authority_is_refused_before_anything_is_sent(bed: Bed, master: FakeMaster) -> None:
    before = installed(bed, master)
    asked = len(master.asked(""))
    master.present(TlsAuthority("other").server_chain())
    outcome = bed.turn()
    assert isinstance(outcome.away, Untrusted)
    assert "no pinned key stands behind it" in str(outcome.away)
    assert len(master.asked("")) == asked
    assert bed.shown("shop") == before


def test_the_pinned_authority_beside_a_leaf_that_it_did_not_sign_is_refused(bed: Bed, master: FakeMaster) -> None:
    master.present(TlsAuthority("other").server_chain() + master.api_authority.pem)
    assert isinstance(bed.turn().away, Untrusted)


def test_an_authority_of_the_same_name_with_another_key_is_refused(bed: Bed, master: FakeMaster) -> None:
    master.present(TlsAuthority("certline API").server_chain())
    assert isinstance(bed.turn().away, Untrusted)


def test_the_next_pin_is_learnt_from_the_manifest_and_kept(bed: Bed, master: FakeMaster) -> None:
    coming = TlsAuthority("certline API 2")
    master.tampering.manifest = lambda made: replace(made, tls_pins=(*made.tls_pins, coming.pin))
    bed.settle()
    master.present(coming.server_chain())
    assert not bed.turn().away


def test_a_chain_to_the_configured_authority_is_checked_for_dates_and_host(fresh_bed: Bed, master: FakeMaster) -> None:
    bed = fresh_bed
    (bed.folder / "ca.pem").write_text(master.api_authority.pem)
    bed.configure(bed.line("shop", "shop.example.org"), more='ca_file = "ca.pem"')
    bed.enrol(master.token(trust="chain"))
    assert not bed.settle().away
    master.present(master.api_authority.server_chain(since=PAST, until=PAST + timedelta(days=90)))
    assert "expired" in str(bed.turn().away)
    assert "ca_file" not in str(bed.turn().away)
    master.present(master.api_authority.server_chain(host="192.0.2.7"))
    assert "certificate is not valid" in str(bed.turn().away) or "mismatch" in str(bed.turn().away)


def test_without_its_authority_a_chain_is_not_trusted(fresh_bed: Bed, master: FakeMaster) -> None:
    with pytest.raises(
        Untrusted, match=r"not trusted: .*name that CA's certificate in the settings: \[master\] ca_file"
    ):
        fresh_bed.enrol(master.token(trust="chain"))


def test_a_plain_http_url_in_the_file_is_refused(bed: Bed) -> None:
    bed.configure(more='url = "http://127.0.0.1:1"')
    with pytest.raises(SettingsError, match="https"):
        settings.load(bed.file)


# Time (E1)


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(days=-3650), timedelta(days=3650)], ids=str)
def test_a_host_with_a_wrong_clock_enrols_asks_and_installs(
    fresh_bed: Bed, master: FakeMaster, wrong: timedelta
) -> None:
    fresh_bed.clock = MovableClock(wrong)
    fresh_bed.enrol()
    host = fresh_bed.host()
    assert not fresh_bed.settle(host).failures
    assert fresh_bed.reloads() == 1
    assert abs(host.now() - master.clock.now()) < timedelta(seconds=60)


def test_a_wrong_clock_costs_one_more_request_and_not_one_more_each_time(bed: Bed, master: FakeMaster) -> None:
    bed.clock = MovableClock(timedelta(days=3650))
    host = bed.host()
    bed.turn(host)
    before = len(master.asked("GET /v1/follower/manifest"))
    bed.turn(host)
    assert len(master.asked("GET /v1/follower/manifest")) == before + 1


# Answers


def test_a_master_that_is_away_is_unreachable_and_what_is_installed_stays(bed: Bed, master: FakeMaster) -> None:
    before = installed(bed, master)
    bed.master_goes_away()
    outcome = bed.turn()
    assert isinstance(outcome.away, Unreachable)
    assert bed.shown("shop") == before


@pytest.mark.parametrize(
    ("said", "meant"),
    [("60", 60), ("0", 1), ("-7", None), ("1000000000", 3600), ("999999999999999", 3600), ("soon", None),
     ("Fri, 31 Dec 9999 23:59:59 GMT", 3600)],
)  # fmt: skip
def test_retry_after_is_kept_within_a_second_and_an_hour(
    bed: Bed, master: FakeMaster, said: str, meant: int | None
) -> None:
    master.ready_replies = [Reply(503, b"", {"Retry-After": said})]
    away = bed.turn().away
    assert isinstance(away, Unreachable)
    assert away.retry_after == meant


UNSIGNED: dict[str, Callable[[str, Reply], Reply]] = {
    "without signature": lambda _path, reply: Reply(reply.status, reply.body),
    "another status": lambda _path, reply: replace(reply, status=202),
    "another body": lambda _path, reply: replace(reply, body=reply.body + b" "),
    "another etag": lambda _path, reply: replace(reply, headers={**reply.headers, "etag": '"x"'}),
    "a redirect": lambda _path, _reply: Reply(302, b"", {"Location": "https://127.0.0.1:1/"}),
    "not found": lambda _path, _reply: Reply(404, b"{}"),
    "unauthorized": lambda _path, _reply: Reply(401, b"{}"),
}


@pytest.mark.parametrize("how", UNSIGNED)
def test_an_answer_changed_on_the_way_is_not_followed(bed: Bed, master: FakeMaster, how: str) -> None:
    before = installed(bed, master)
    state = bed.host().state
    master.tampering.after_signing = UNSIGNED[how]
    assert isinstance(bed.turn().away, Untrusted)
    assert bed.shown("shop") == before
    assert bed.host().state == state


def test_an_answer_signed_by_another_key_is_not_followed(bed: Bed, master: FakeMaster) -> None:
    before = installed(bed, master)
    master.tampering.signing_key = signing.generate_identity()[0]
    assert isinstance(bed.turn().away, Untrusted)
    assert bed.shown("shop") == before


def test_an_answer_to_another_request_is_not_followed(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    answers: list[Reply] = []

    def replay(path: str, reply: Reply) -> Reply:
        answers.append(reply)
        return answers[0] if path.endswith("/manifest") else reply

    master.tampering.after_signing = replay
    host = bed.host()
    assert not bed.turn(host).away
    assert isinstance(bed.turn(host).away, Untrusted)


def test_an_unsigned_304_is_not_taken_for_no_news(bed: Bed, master: FakeMaster) -> None:
    installed(bed, master)
    master.tampering.after_signing = lambda _path, _reply: Reply(304)
    assert isinstance(bed.turn().away, Untrusted)


def test_an_answer_without_end_is_cut_off(bed: Bed, master: FakeMaster) -> None:
    master.tampering.after_signing = lambda _path, reply: replace(reply, body=b" " * 9_000_000)
    away = bed.turn().away
    assert isinstance(away, Untrusted)
    assert "bytes" in str(away)


def test_a_stale_answer_with_a_senseless_nonce_is_not_followed(bed: Bed, master: FakeMaster) -> None:
    master.ready_replies = [Reply(401, b"{}", {"Certline-Nonce": 'a"b'})]
    assert isinstance(bed.turn().away, Untrusted)


def test_a_revoked_follower_is_told_and_keeps_its_files(bed: Bed, master: FakeMaster) -> None:
    before = installed(bed, master)
    master.revoked = True
    assert "revoked" in str(bed.turn().away)
    assert bed.shown("shop") == before


def test_a_suspended_follower_is_told_why_keeps_its_files_and_goes_on_when_resumed(
    bed: Bed, master: FakeMaster
) -> None:
    before = installed(bed, master)
    master.suspended = "the host is being rebuilt"
    assert "suspended (the host is being rebuilt)" in str(bed.turn().away)
    assert bed.shown("shop") == before
    master.suspended = ""
    assert bed.turn().away is None


# The manifest and what it lists (B9)


def _line(made: Manifest, **changes: object) -> Manifest:
    line = replace(made.lines[0], **changes)  # type: ignore[arg-type]
    return replace(made, lines=(line, *made.lines[1:]))


def _named(name: str) -> Callable[[Manifest], Manifest]:
    return lambda made: _line(made, files=(ManifestFile(name, "0" * 64, 10),))


MANIFESTS: dict[str, Callable[[Manifest], Manifest]] = {
    "for another follower": lambda made: replace(made, follower_id="someone-else"),
    "of a lower epoch": lambda made: replace(made, epoch=0),
    "of a lower serial": lambda made: replace(made, serial=0),
    "of another protocol": lambda made: replace(made, protocol=2),
    "with a line twice": lambda made: replace(made, lines=made.lines * 2),
    "with a file twice": lambda made: _line(made, files=made.lines[0].files * 2),
    "with a line named ../x": lambda made: _line(made, name="../x"),
    "with a path upwards": _named("../x"),
    "with an absolute path": _named("/etc/passwd"),
    "with a NUL": _named("ecdsa-p256/\0"),
    "with 300 characters": _named("ecdsa-p256/" + "a" * 300),
}


@pytest.mark.parametrize("how", MANIFESTS)
def test_a_manifest_that_breaks_a_rule_is_not_followed(bed: Bed, master: FakeMaster, how: str) -> None:
    before = installed(bed, master)
    tree = sorted(map(str, bed.folder.rglob("*")))
    master.tampering.manifest = MANIFESTS[how]
    outcome = bed.turn()
    assert isinstance(outcome.away, Untrusted)
    assert "manifest is refused" in str(outcome.away)
    assert bed.shown("shop") == before
    assert sorted(map(str, bed.folder.rglob("*"))) == tree


CONTENTS: dict[str, Callable[[VersionContent], VersionContent]] = {
    "another text": lambda made: replace(made, files={name: text + "\n" for name, text in made.files.items()}),
    "an extra file": lambda made: replace(made, files={**made.files, "../../x": "x"}),
    "no file": lambda made: replace(made, files={}),
    "another version": lambda made: replace(made, version=made.version + 1),
}


@pytest.mark.parametrize("how", CONTENTS)
def test_a_version_that_is_not_what_the_manifest_lists_is_held_back(bed: Bed, master: FakeMaster, how: str) -> None:
    before = installed(bed, master)
    master.tampering.content = CONTENTS[how]
    outcome = bed.turn()
    assert "version 2 is not taken" in outcome.failures[0]
    assert bed.shown("shop") == before
    assert bed.reloads() == 1
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state, bool(report.error)) == (2, "pulled", True)
    assert not list(bed.folder.glob("**/x"))


def test_a_version_for_a_key_that_is_not_here_is_told_and_not_pulled(bed: Bed, master: FakeMaster) -> None:
    before = installed(bed, master)
    key = codec.base64url(b"x" * 32)
    master.tampering.manifest = lambda made: _line(made, spki_sha256={"ecdsa-p256": key})
    outcome = bed.turn()
    assert any("key is not on this host" in note for note in outcome.notes)
    assert bed.shown("shop") == before


def test_the_token_and_the_keys_never_appear_in_the_log(
    bed: Bed, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level("DEBUG"):
        bed.settle()
    identity = (tmp_path / "host" / "state" / "identity.json").read_text()
    secret = identity.partition('"identity_key":"')[2].partition('"')[0]
    assert len(secret) > 40
    assert secret not in caplog.text
    assert "PRIVATE KEY" not in caplog.text
