"""The state file: what it survives, and what is refused (B5)."""

import json
from datetime import timedelta

import pytest

from certline_follower.state import StateError
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed


def damaged(bed: Bed, content: bytes) -> None:
    (bed.state_dir / "state.json").write_bytes(content)


@pytest.mark.parametrize("how", ["empty", "cut", "garbage", "wrong types", "bad time"])
def test_a_damaged_state_is_rebuilt_from_what_is_installed_and_the_master(
    bed: Bed, master: FakeMaster, how: str
) -> None:
    bed.settle()
    whole, shown, reloads = (bed.state_dir / "state.json").read_bytes(), bed.shown("shop"), bed.reloads()
    damaged(
        bed,
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "garbage": b"\x00\xff" * 100,
            "wrong types": whole.replace(b'"lines":{', b'"lines":[{', 1),
            "bad time": whole.replace(b'"due":"2', b'"due":"x'),
        }[how],
    )
    outcome = bed.settle()
    assert not outcome.failures
    assert bed.shown("shop") == shown
    assert bed.reloads() == reloads
    assert len(master.asked("PUT")) == 1
    master.issue("shop")
    bed.settle()
    assert bed.shown("shop") != shown


def test_a_lost_state_is_rebuilt_with_the_same_key(bed: Bed) -> None:
    bed.settle()
    key = (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes()
    (bed.state_dir / "state.json").unlink()
    bed.settle()
    assert (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes() == key
    assert bed.reloads() == 1


def test_a_state_of_a_newer_version_is_refused_and_left_as_it_is(bed: Bed) -> None:
    bed.settle()
    file = bed.state_dir / "state.json"
    newer = file.read_bytes().replace(b'"format":1', b'"format":9')
    file.write_bytes(newer)
    with pytest.raises(StateError, match=r"format 9.* reads up to 1"):
        bed.host()
    assert file.read_bytes() == newer


def test_the_state_and_the_keys_are_for_their_user_only(bed: Bed) -> None:
    bed.settle()
    files = [path for path in bed.state_dir.rglob("*.json") if "generations" not in path.parts]
    files += list((bed.state_dir / "keys").rglob("*.pem"))
    assert len(files) > 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_key_that_was_removed_by_hand_is_made_anew_and_asked_with(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").unlink()
    assert not bed.settle().failures
    assert len(master.asked("PUT")) == 2
    assert bed.reloads() == 2


def test_a_pause_that_a_wrong_clock_wrote_is_not_waited_for(bed: Bed) -> None:
    host = bed.host()
    bed.settle(host)
    file = bed.state_dir / "state.json"
    document = json.loads(file.read_bytes())
    far = (host.now() + timedelta(days=3650)).strftime("%Y-%m-%dT%H:%M:%SZ")
    debt = {"generation": 1, "lines": ["shop"], "retry": {"attempts": 1, "due": far, "error": "x"}}
    file.write_text(json.dumps({**document, "debts": {"web": debt}}))
    bed.settle()
    assert bed.reloads() == 2
