"""Keys of a line on its host: one is made ahead, takes its turn, and the one before stays for a while."""

from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower import line_keys
from certline_follower.wishes import Ask, MakeAhead
from certline_shared import keys
from certline_shared.keys import KeyType
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, killed_at

EC = "ecdsa-p256"


def pin_of(csr: bytes) -> str:
    return keys.read_csr(csr).spki_sha256


def on_disk(bed: Bed) -> dict[str, str]:
    folder = bed.state_dir / "keys" / "shop"
    places = {"current": folder, "next": folder / "next", "previous": folder / "previous"}
    found = {slot: place / f"{EC}.pem" for slot, place in places.items() if (place / f"{EC}.pem").exists()}
    return {slot: keys.spki_sha256(keys.from_pem(path.read_bytes())) for slot, path in found.items()}


def served(bed: Bed) -> str:
    return keys.spki_sha256(keys.from_pem(bed.shown("shop").partition("-----BEGIN CERT")[0].encode()))


@pytest.fixture
def ahead(bed: Bed, master: FakeMaster) -> Bed:
    """A host whose next key the master knows."""
    bed.settle()
    master.set_line("shop", wants_next=True)
    bed.settle()
    assert master.lines["shop"].next_csrs
    return bed


def test_the_next_key_is_made_when_nothing_else_is_to_be_done_and_its_request_sent(
    bed: Bed, master: FakeMaster
) -> None:
    master.set_line("shop", wants_next=True, names=("shop.example.org",))
    outcome = bed.settle()
    assert not outcome.failures
    assert bed.reloads() == 1
    assert on_disk(bed).keys() == {"current", "next"}
    assert pin_of(master.lines["shop"].next_csrs[EC]) == on_disk(bed)["next"]
    assert pin_of(master.lines["shop"].csrs[EC]) == on_disk(bed)["current"]


def test_it_is_never_made_before_the_first_certificate_is_in(bed: Bed, master: FakeMaster) -> None:
    master.issue_at_once = False
    master.set_line("shop", wants_next=True, names=("shop.example.org",))
    host = bed.host()
    bed.settle(host)
    assert on_disk(bed).keys() == {"current"}


def test_of_rsa_keys_for_later_one_is_made_in_a_turn_and_the_next_turn_comes_at_once(
    bed: Bed, master: FakeMaster
) -> None:
    bed.configure(*(bed.line(name, f"{name}.example.org", key_type="rsa-2048") for name in ("shop", "mail")))
    host = bed.host()
    bed.settle(host)
    for name in ("shop", "mail"):
        master.set_line(name, wants_next=True)
    outcome = bed.turn(host)
    assert len([step for step in outcome.done if isinstance(step, MakeAhead)]) == 1
    assert outcome.next_look is not None
    assert outcome.next_look <= host.now()
    assert not outcome.failures
    bed.settle(host)
    assert all(master.lines[name].next_csrs for name in ("shop", "mail"))


def test_a_renewal_keeps_the_key(ahead: Bed, master: FakeMaster) -> None:
    """peers.md 2.0, line 11, and 2.3, lines 3 and 5: by default the public key is unchanged."""
    before = on_disk(ahead)
    master.issue("shop")
    ahead.settle()
    assert on_disk(ahead) == before
    assert served(ahead) == before["current"]


def test_a_rollover_makes_the_next_key_the_current_one_and_keeps_the_one_before(ahead: Bed, master: FakeMaster) -> None:
    """peers.md 2.0, line 11 (new at each renewal), and 2.1, line 31 (primary := old backup, a new backup exists)."""
    before = on_disk(ahead)
    master.roll("shop")
    asked = len(master.asked("PUT"))
    outcome = ahead.settle()
    after = on_disk(ahead)
    assert not outcome.failures
    assert (after["current"], after["previous"]) == (before["next"], before["current"])
    assert after["next"] not in before.values()
    assert served(ahead) == before["next"]
    assert pin_of(master.lines["shop"].next_csrs[EC]) == after["next"]
    assert pin_of(master.lines["shop"].csrs[EC]) == after["current"]
    assert len(master.asked("PUT")) == asked + 1, "only the new next key is news"
    assert not ahead.turn().done


def test_while_the_new_version_waits_no_other_next_key_is_offered_in_its_place(ahead: Bed, master: FakeMaster) -> None:
    before = on_disk(ahead)
    text = ahead.file.read_text()
    far = ahead.clock.now() + timedelta(days=3)
    ahead.file.write_text(f'windows = ["{far:%a} 02:00-02:01 UTC"]\n' + text)
    master.roll("shop")
    outcome = ahead.turn()
    assert served(ahead) == before["current"]
    assert not any(isinstance(step, Ask | MakeAhead) for step in outcome.done)
    assert on_disk(ahead) == before
    ahead.file.write_text(text)
    ahead.settle()
    assert served(ahead) == before["next"]


@pytest.mark.parametrize("place", ["install.swapped", *line_keys.FAILPOINTS])
def test_a_kill_while_keys_move_on_is_finished_by_the_next_start(ahead: Bed, master: FakeMaster, place: str) -> None:
    before = on_disk(ahead)
    master.roll("shop")
    with killed_at(place):
        ahead.settle()
    outcome = ahead.settle()
    after = on_disk(ahead)
    assert not outcome.failures
    assert (after["current"], after["previous"]) == (before["next"], before["current"])
    assert after["next"] not in before.values()
    assert pin_of(master.lines["shop"].next_csrs[EC]) == after["next"]
    assert not ahead.turn().done


def test_a_lost_state_is_rebuilt_with_all_keys(ahead: Bed, master: FakeMaster) -> None:
    master.roll("shop")
    ahead.settle()
    before = on_disk(ahead)
    (ahead.state_dir / "state.json").unlink()
    outcome = ahead.settle()
    assert not outcome.failures
    assert on_disk(ahead) == before
    held = ahead.host().state.line("shop")
    assert {"current": held.keys[EC], "next": held.next_keys[EC], "previous": held.previous_keys[EC]} == before
    assert pin_of(master.lines["shop"].next_csrs[EC]) == before["next"]


def test_a_marked_rollback_to_the_key_before_is_followed(ahead: Bed, master: FakeMaster) -> None:
    before = on_disk(ahead)
    master.roll("shop")
    ahead.settle()
    master.set_line("shop", live=1, rollback=True)
    outcome = ahead.settle()
    assert not outcome.failures
    assert served(ahead) == before["current"]


def put_key(path: Path) -> str:
    key = keys.generate(KeyType.ECDSA_P256)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(keys.to_pem(key))
    return keys.spki_sha256(key)


def test_keys_that_were_copied_to_the_host_are_what_the_next_run_asks_for(ahead: Bed, master: FakeMaster) -> None:
    """peers.md 2.1, line 48: new primary and backup files, and the next run re-issues on them; line 22 too."""
    folder = ahead.state_dir / "keys" / "shop"
    pins = {"current": put_key(folder / f"{EC}.pem"), "next": put_key(folder / "next" / f"{EC}.pem")}
    outcome = ahead.settle()
    assert not outcome.failures
    assert served(ahead) == pins["current"]
    assert pin_of(master.lines["shop"].next_csrs[EC]) == pins["next"]


def test_a_running_follower_sees_a_key_file_that_no_longer_matches(bed: Bed, master: FakeMaster) -> None:
    """peers.md 2.1, line 22: a key file that no longer matches is issued for, whatever the age."""
    host = bed.host()
    bed.settle(host)
    pin = put_key(bed.state_dir / "keys" / "shop" / f"{EC}.pem")
    bed.settle(host)
    assert served(bed) == pin
    assert pin_of(master.lines["shop"].csrs[EC]) == pin


def test_outputs_show_the_next_and_the_previous_key(ahead: Bed, master: FakeMaster) -> None:
    more = "".join(
        f'[[line.output]]\nkind = "{slot}-key"\npath = "{ahead.folder}/{slot}.key"\n' for slot in ("next", "previous")
    )
    ahead.configure(ahead.line("shop", "shop.example.org") + more)
    ahead.settle()
    assert keys.spki_sha256(keys.from_pem((ahead.folder / "next.key").read_bytes())) == on_disk(ahead)["next"]
    assert not (ahead.folder / "previous.key").exists()
    master.roll("shop")
    ahead.settle()
    for slot in ("next", "previous"):
        pem = (ahead.folder / f"{slot}.key").read_bytes()
        assert keys.spki_sha256(keys.from_pem(pem)) == on_disk(ahead)[slot]


def test_a_key_that_is_made_elsewhere_is_read_and_never_touched(bed: Bed, master: FakeMaster) -> None:
    """peers.md 2.2, line 1, on the host: the key is the operator's, it is neither replaced nor rolled."""
    path = bed.folder / "own" / "shop.key"
    pin = put_key(path)
    bed.configure(bed.line("shop", "shop.example.org").replace("services", f'key_file = "{path}"\nservices'))
    before = path.stat()
    bed.settle()
    master.set_line("shop", wants_next=True)
    outcome = bed.settle()
    assert served(bed) == pin
    assert not outcome.failures
    assert not master.lines["shop"].next_csrs
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    other = put_key(path)
    bed.settle()
    assert served(bed) == other


def test_a_key_made_elsewhere_that_is_missing_or_of_another_type_is_told(bed: Bed, master: FakeMaster) -> None:
    path = bed.folder / "own.key"
    bed.configure(bed.line("shop", "shop.example.org").replace("services", f'key_file = "{path}"\nservices'))
    assert "own.key is missing: this host makes no key" in bed.turn().failures[0]
    path.write_bytes(keys.to_pem(keys.generate(KeyType.RSA_2048)))
    assert "own.key has an rsa-2048 key: an ecdsa-p256 key belongs there" in bed.turn().failures[0]
    assert not master.asked("PUT")
