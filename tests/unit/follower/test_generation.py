"""A generation holds what belongs together, and is the same thing whenever it is rendered from the same things."""

from dataclasses import replace
from pathlib import Path

import pytest

from certline_follower import records
from certline_follower.faults import InstallFault
from certline_follower.records import NOTHING, Entry, Placement, Swap
from certline_follower.rendering import render
from certline_follower.settings import Output
from certline_shared.codec import BadMessage
from certline_shared.key_types import KeyType
from tests.unit.follower.makers import authority, line, material, output, settings_of

HOST = Path("/srv/host")
SHOP = output(HOST / "tls" / "shop.pem")
SETTINGS = settings_of(HOST, line("shop", SHOP), line("mail"))


def test_each_line_has_its_key_its_certificate_and_its_chain_in_every_usual_form() -> None:
    shop = material("shop", 3)
    files = render([shop], SETTINGS, 1).files
    leaf = shop.chain_pem.removesuffix(authority().pem).encode()
    forms = {
        name: files[f"shop/ecdsa-p256/{name}.pem"].data for name in ("key", "cert", "chain", "fullchain", "combined")
    }
    assert forms == {
        "key": shop.key_pem,
        "cert": leaf,
        "chain": authority().pem.encode(),
        "fullchain": shop.chain_pem.encode(),
        "combined": shop.key_pem + shop.chain_pem.encode(),
    }


def test_only_files_without_a_key_are_for_everyone() -> None:
    files = render([material("shop", 3)], settings_of(HOST, line("shop")), 1).files
    modes = {path: oct(content.mode) for path, content in files.items()}
    kinds = {"key": "0o600", "combined": "0o600", "cert": "0o644", "chain": "0o644", "fullchain": "0o644"}
    assert modes == {f"shop/{folder}{kind}.pem": mode for kind, mode in kinds.items() for folder in ("ecdsa-p256/", "")}


def test_the_first_key_type_is_also_where_a_release_with_one_type_for_each_line_had_it() -> None:
    """Services of a host that is upgraded may read the live generation there."""
    both = replace(line("shop"), key_types=(KeyType.RSA_2048, KeyType.ECDSA_P256))
    rsa, ecdsa = material("shop", 3, KeyType.RSA_2048), material("shop", 3)
    made = render([ecdsa, rsa], settings_of(HOST, both), 1)
    assert made.files["shop/key.pem"].data == made.files["shop/rsa-2048/key.pem"].data == rsa.key_pem
    assert made.files["shop/ecdsa-p256/key.pem"].data == ecdsa.key_pem
    assert [one.key_type for one in made.facts["shop"]] == [KeyType.RSA_2048, KeyType.ECDSA_P256]
    assert records.read_generation(records.write_generation(made, None, "then"), 1).facts == made.facts


def test_an_output_has_a_file_of_its_own_with_its_owner_and_mode() -> None:
    wanted = output(HOST / "tls" / "shop.key", "key", owner="root", group="www-data", permissions=0o640)
    made = render([material("shop", 3)], settings_of(HOST, line("shop", wanted)), 1)
    content = made.files[made.outputs[0].source]
    assert (content.data, content.owner, content.group, content.mode) == (
        material("shop", 3).key_pem,
        "root",
        "www-data",
        0o640,
    )


def test_an_output_shows_the_same_file_name_whatever_it_shows_so_that_its_link_never_moves() -> None:
    first = render([material("shop", 3)], SETTINGS, 1)
    changed = settings_of(HOST, line("shop", replace(SHOP, kind="combined", mode="copy", group="root")))
    assert render([material("shop", 4)], changed, 2).outputs[0].source == first.outputs[0].source


def test_a_line_without_a_version_yet_has_no_files_and_stops_no_other() -> None:
    made = render([material("mail", 1)], SETTINGS, 1)
    assert made.lines == {"mail": 1}
    assert made.outputs == ()


def test_a_generation_tells_versions_serials_keys_and_names() -> None:
    (facts,) = render([material("shop", 0x2A)], SETTINGS, 1).facts["shop"]
    assert (facts.version, facts.serial, facts.names) == (42, "2a", ("shop.example.org",))


def test_the_same_content_has_the_same_digest_under_any_number() -> None:
    assert render([material("shop", 3)], SETTINGS, 1).digest == render([material("shop", 3)], SETTINGS, 9).digest


@pytest.mark.parametrize(
    "other",
    [
        replace(SHOP, kind="cert"),
        replace(SHOP, path=HOST / "other.pem"),
        replace(SHOP, mode="copy"),
        replace(SHOP, owner="root"),
        replace(SHOP, group="root"),
        replace(SHOP, permissions=0o644),
    ],
    ids=["kind", "path", "as", "owner", "group", "mode"],
)
def test_any_change_of_an_output_makes_another_generation(other: Output) -> None:
    changed = settings_of(HOST, line("shop", other), line("mail"))
    assert render([material("shop", 3)], changed, 1).digest != render([material("shop", 3)], SETTINGS, 1).digest


def test_another_version_makes_another_generation() -> None:
    assert render([material("shop", 4)], SETTINGS, 1).digest != render([material("shop", 3)], SETTINGS, 1).digest


SHOP_3, SHOP_4 = material("shop", 3), material("shop", 4)

BROKEN = {
    "key of another version": (replace(SHOP_3, key_pem=SHOP_4.key_pem), "the certificate was made for another key"),
    "chain of another version": (replace(SHOP_3, chain_pem=SHOP_4.chain_pem), "was made for another key"),
    "no key": (replace(SHOP_3, key_pem=b"garbage"), "not a private key in PEM form"),
    "no chain": (replace(SHOP_3, chain_pem=""), "line 'shop', version 3: "),
    "foreign intermediate": (
        replace(SHOP_3, chain_pem=SHOP_3.chain_pem + SHOP_4.chain_pem),
        "line 'shop', version 3: ",
    ),
    "key among the chain": (
        replace(SHOP_3, chain_pem=SHOP_3.chain_pem + SHOP_3.key_pem.decode()),
        "line 'shop', version 3: ",
    ),
    "another kind of key": (replace(SHOP_3, key_type=KeyType.RSA_2048), "the key is ecdsa-p256, not rsa-2048"),
    "a line of nobody": (replace(SHOP_3, line="foreign"), "line 'foreign' is not in the settings"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_belong_together_is_not_installed(case: str) -> None:
    broken, expected = BROKEN[case]
    with pytest.raises(InstallFault) as caught:
        render([material("mail", 1), broken], SETTINGS, 1)
    assert expected in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_a_line_has_one_version_in_a_generation() -> None:
    with pytest.raises(InstallFault, match="line 'shop' stands twice"):
        render([SHOP_3, SHOP_4], SETTINGS, 1)


def test_no_key_shows_when_a_generation_is_printed() -> None:
    made = render([SHOP_3], SETTINGS, 1)
    assert SHOP_3.key_pem.decode().splitlines()[1] not in f"{SHOP_3!r} {made!r}"


def test_the_record_of_a_generation_reads_back_as_it_was_written() -> None:
    made = render([SHOP_3, material("mail", 1)], SETTINGS, 7)
    read = records.read_generation(records.write_generation(made, 6, "2026-11-20T12:00:00+00:00"), 7)
    assert (read.number, read.former, read.digest) == (7, 6, made.digest)
    assert (read.outputs, read.facts, read.lines) == (made.outputs, made.facts, {"shop": 3, "mail": 1})


def test_the_journal_of_a_swap_reads_back_as_it_was_written() -> None:
    placements = (
        Placement("/a", NOTHING, Entry("link", "/srv/live/x")),
        Placement("/b", Entry("file", "replaced/b"), Entry("file", "generations/000002/b")),
    )
    for swap in (Swap(2, 1, True, placements), Swap(1, None, False, ())):
        assert records.read_swap(records.write_swap(swap)) == swap


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"format":2}', b"\x00" * 100])
def test_a_damaged_record_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        records.read_generation(body, 1)
    with pytest.raises(BadMessage):
        records.read_swap(body)


def test_a_record_of_another_format_is_refused() -> None:
    body = records.write_swap(Swap(2, 1, True, ())).replace(b'"format":1', b'"format":2')
    with pytest.raises(ValueError, match="format 2, by another version of the follower"):
        records.read_swap(body)
