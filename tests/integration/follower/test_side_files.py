"""What lies beside a certificate in a host's files: a change of it alone reaches services once, and no change never."""

import logging

import pytest

from certline_follower.choosing import Install
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed
from tests.unit.shared.makers import Authority

MORE = """\
[[line.output]]
kind = "fullchain-root"
path = "root.out"
[[line.output]]
kind = "params"
path = "params.out"
[[line.output]]
kind = "pkcs12"
path = "shop.p12"
password_file = "password"
"""


@pytest.fixture
def side(bed: Bed) -> Bed:
    """A host with files of every such kind, on which a version is installed."""
    (bed.folder / "password").write_text("first")
    (bed.folder / "password").chmod(0o600)
    configure(bed, 'dh = "ffdhe2048"')
    bed.settle()
    return bed


def configure(bed: Bed, line: str) -> None:
    text = bed.line("shop", "shop.example.org").replace("[[line.output]]", f"{line}\n[[line.output]]", 1)
    bed.configure(text + MORE)


def test_a_turn_in_which_nothing_beside_it_changed_writes_and_reloads_nothing(side: Bed) -> None:
    before = {path: path.stat().st_mtime_ns for path in side.folder.rglob("*.out")}
    for _ in range(3):
        assert not side.turn().done
    assert side.reloads() == 1
    assert {path: path.stat().st_mtime_ns for path in side.folder.rglob("*.out")} == before


def test_other_parameters_make_one_generation_and_one_reload(side: Bed) -> None:
    configure(side, 'dh = "ffdhe3072"')
    done = side.settle().done
    assert [type(step) for step in done].count(Install) == 1
    assert side.reloads() == 2
    assert not side.turn().done


def test_another_password_makes_one_generation_and_one_reload(side: Bed) -> None:
    before = (side.folder / "shop.p12").read_bytes()
    (side.folder / "password").write_text("second")
    side.settle()
    assert (side.folder / "shop.p12").read_bytes() != before
    assert side.reloads() == 2
    assert not side.turn().done


def test_a_missing_root_is_said_once_and_holds_nothing_back(
    bed: Bed, master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    (bed.folder / "password").write_text("first")
    (bed.folder / "password").chmod(0o600)
    configure(bed, 'dh = "ffdhe2048"')
    with caplog.at_level(logging.WARNING):
        bed.settle()
        master.issue("shop")
        bed.settle()
    said = [record.message for record in caplog.records if "is left out" in record.message]
    assert said == [f"line shop: {bed.folder / 'root.out'} is left out: there is no root_file for it"]
    assert bed.reloads() == 2


def test_the_root_is_taken_up_when_its_file_is_written_and_a_wrong_one_never(side: Bed, master: FakeMaster) -> None:
    root = side.folder / "root.pem"
    configure(side, 'dh = "ffdhe2048"\nroot_file = "root.pem"')
    side.settle()
    root.write_text(Authority.make("strange", side.clock.now()).pem)
    side.settle()
    assert side.reloads() == 1
    assert not (side.folder / "root.out").exists()
    root.write_text(master.issuing.pem)
    side.settle()
    assert side.reloads() == 2
    assert (side.folder / "root.out").read_text().endswith(master.issuing.pem)
    assert not side.turn().done
