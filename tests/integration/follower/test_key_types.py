"""A line with certificates of several key types: both or neither are in use, and each service finds its own."""

import pytest

from certline_follower.choosing import Install
from certline_shared import certificates, keys
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed

TYPES = ("rsa-2048", "ecdsa-p256")


def line(bed: Bed, *, more: str = "", key_types: tuple[str, ...] = TYPES, outputs: tuple[str, ...] = TYPES) -> str:
    listed = ", ".join(f'"{one}"' for one in key_types)
    shown = "".join(
        f'[[line.output]]\nkind = "combined"\nkey_type = "{one}"\npath = "{bed.folder}/shop-{one}.pem"\n'
        for one in outputs
    )
    head = f'[[line]]\nname = "shop"\nnames = ["shop.example.org"]\nservices = ["web"]\nkey_types = [{listed}]\n'
    return f"{head}{more}{shown}"


@pytest.fixture
def both(bed: Bed) -> Bed:
    bed.configure(line(bed))
    return bed


def shown(bed: Bed, key_type: str) -> str:
    return (bed.folder / f"shop-{key_type}.pem").read_text()


def is_pair(pem: str, key_type: str) -> bool:
    key, _, chain = pem.partition("-----BEGIN CERTIFICATE-----")
    private = keys.from_pem(key.encode())
    return keys.key_type_of(private) == key_type and certificates.matches(
        private, f"-----BEGIN CERTIFICATE-----{chain}"
    )


def test_one_name_has_a_key_and_a_certificate_of_rsa_and_of_ecdsa(both: Bed, master: FakeMaster) -> None:
    """peers.md 2.0, line 1: no certificate exists, and one RSA and one EC key, request and certificate appear."""
    both.settle()
    assert set(master.lines["shop"].csrs) == set(TYPES)
    assert all(is_pair(shown(both, one), one) for one in TYPES)
    assert both.reloads() == 1


def test_both_or_neither_are_installed(both: Bed, master: FakeMaster) -> None:
    """peers.md 2.1, line 25: one of the certificates fails, and no new file of the line is installed."""
    host = both.host()
    both.settle(host)
    before = [shown(both, one) for one in TYPES]
    number = master.issue("shop")
    rsa = "rsa-2048/chain.pem"
    whole = master.lines["shop"].versions[number]
    master.set_line(
        "shop",
        versions={**master.lines["shop"].versions, number: {"ecdsa-p256/chain.pem": whole["ecdsa-p256/chain.pem"]}},
    )
    outcome = both.settle(host)
    assert [shown(both, one) for one in TYPES] == before
    assert any("it has no rsa-2048 certificate" in note for note in outcome.notes)
    master.set_line("shop", versions={**master.lines["shop"].versions, number: whole})
    both.settle(host)
    assert whole[rsa] in shown(both, "rsa-2048")


def test_a_line_may_take_what_there_is(bed: Bed, master: FakeMaster) -> None:
    bed.configure(line(bed, more="together = false\n"))
    host = bed.host()
    bed.settle(host)
    before = shown(bed, "rsa-2048")
    number = master.issue("shop")
    versions = master.lines["shop"].versions
    versions[number] = {"ecdsa-p256/chain.pem": versions[number]["ecdsa-p256/chain.pem"]}
    master.set_line("shop", versions=versions)
    bed.settle(host)
    assert versions[number]["ecdsa-p256/chain.pem"] in shown(bed, "ecdsa-p256")
    assert shown(bed, "rsa-2048") == before
    live = host.installer.live()
    assert live is not None
    assert {one.key_type: one.version for one in live.facts["shop"]} == {"rsa-2048": 1, "ecdsa-p256": 2}
    assert not bed.turn(host).done


def test_a_key_type_that_is_added_comes_with_the_next_version_and_one_that_goes_leaves_its_file(
    bed: Bed, master: FakeMaster
) -> None:
    bed.configure(line(bed, key_types=("ecdsa-p256",), outputs=("ecdsa-p256",)))
    bed.settle()
    bed.configure(line(bed))
    bed.settle()
    assert all(is_pair(shown(bed, one), one) for one in TYPES)
    bed.configure(line(bed, key_types=("rsa-2048",), outputs=("rsa-2048",)))
    bed.settle()
    assert is_pair(shown(bed, "rsa-2048"), "rsa-2048")
    assert set(master.lines["shop"].csrs) == {"rsa-2048"}


def test_of_a_line_of_the_masters_a_type_more_is_fetched_without_a_new_version(bed: Bed, master: FakeMaster) -> None:
    master.share("shop", "shop.example.org", key_types=TYPES)
    listed = line(bed, key_types=("ecdsa-p256",), outputs=("ecdsa-p256",)).replace('names = ["shop.example.org"]\n', "")
    bed.configure(listed)
    bed.settle()
    bed.configure(line(bed).replace('names = ["shop.example.org"]\n', ""))
    outcome = bed.settle()
    assert all(is_pair(shown(bed, one), one) for one in TYPES)
    assert master.lines["shop"].live == 1
    assert not outcome.failures


def test_a_host_of_the_release_before_goes_on_with_what_it_installed(bed: Bed, master: FakeMaster) -> None:
    """Release 0.2.0 had one key type for a line and no folder for it in a generation."""
    host = bed.host()
    bed.settle(host)
    live = host.installer.live()
    assert live is not None
    folder = bed.state_dir / "generations" / f"{live.number:06d}" / "shop"
    for file in (folder / "ecdsa-p256").iterdir():
        file.rename(folder / file.name)
    (folder / "ecdsa-p256").rmdir()
    calls = bed.calls
    assert not bed.turn().done
    assert bed.calls == calls
    master.issue("shop")
    outcome = bed.settle()
    assert any(isinstance(step, Install) for step in outcome.done)
    assert not outcome.failures
