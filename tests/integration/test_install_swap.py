"""What is installed is whole at every instant, goes where the settings say, and stays when the next cannot be had."""

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from certline_follower import settings
from certline_follower.faults import InstallFault
from certline_follower.rendering import render
from tests.integration.installing import SETTINGS, Host, materials, reader
from tests.testbed.parts import require
from tests.unit.follower.makers import material

COPY = '[[line]]\nname = "shop"\n[[line.output]]\nkind = "fullchain"\npath = "copies/shop.pem"\nas = "copy"\n'
LINK = COPY.replace("copies", "links").replace('as = "copy"\n', "")
STATE = 'state_dir = "state"\n'


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host.make(tmp_path)


def test_a_first_installation_shows_links_and_copies(host: Host) -> None:
    assert host.installer().live() is None
    assert host.install(1)
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (1, 1, 1)
    live = host.installer().live()
    assert live is not None
    assert (live.number, live.lines, live.former) == (1, {"shop": 1, "mail": 1}, None)
    assert host.leftovers() == []


def test_the_same_content_is_not_installed_twice(host: Host) -> None:
    host.install(1)
    assert not host.install(1)
    assert host.installer().numbers() == [1]


def test_a_reader_sees_the_next_version_in_one_step(host: Host) -> None:
    host.install(1)
    with reader(host, range(1, 6)) as seen:
        for version in range(2, 6):
            assert host.install(version)
    assert seen[-1] >= 1
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (5, 5, 5)


def test_an_output_that_was_removed_or_changed_by_hand_is_put_in_place_again(host: Host) -> None:
    host.install(1)
    (host.folder / "links" / "combined.pem").unlink()
    (host.folder / "copies" / "shop.key").write_bytes(b"changed by hand")
    assert host.install(1)
    assert (host.linked_version(), host.copied_version()) == (1, 1)
    assert not host.install(1)


def test_the_live_versions_read_back_as_they_were_installed(host: Host) -> None:
    host.install(3)
    assert host.installer().materials() == {"shop": (material("shop", 3),), "mail": (material("mail", 3),)}
    assert Host.make(host.folder / "copies").installer().materials() == {}


def test_a_rollback_shows_the_former_generation_and_the_next_one_comes_after_all(host: Host) -> None:
    for version in (1, 2):
        host.install(version)
    former = host.installer().previous()
    assert former is not None
    host.installer().rollback_to(former.number)
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (1, 1, 1)
    assert host.install(3)
    live, before = host.installer().live(), host.installer().previous()
    assert live is not None
    assert before is not None
    assert (live.number, before.number) == (3, 1)
    assert host.leftovers() == []


def test_a_rollback_to_what_is_not_kept_is_refused(host: Host) -> None:
    host.install(1)
    with pytest.raises(InstallFault, match="generation 7 is not kept any more: choose one of 1"):
        host.installer().rollback_to(7)


def test_the_newest_generations_are_kept_and_the_live_one_always(host: Host) -> None:
    host.write_settings("keep = 2\n" + SETTINGS)
    for version in (1, 2, 3, 4):
        host.install(version)
    host.installer().rollback_to(1)
    host.installer().prune()
    assert host.installer().numbers() == [1, 3, 4]
    host.installer().rollback_to(4)
    host.installer().prune()
    assert host.installer().numbers() == [3, 4]
    assert host.leftovers() == []


def test_services_can_pass_to_their_files_and_no_further(host: Host) -> None:
    previous = os.umask(0o077)
    try:
        host.install(1)
    finally:
        os.umask(previous)
    shown = (host.folder / "links" / "combined.pem").resolve()
    for folder in (*shown.parents,):
        if folder.is_relative_to(host.state_dir):
            assert folder.stat().st_mode & stat.S_IXOTH
            assert not folder.stat().st_mode & stat.S_IWOTH
    assert [oct(path.stat().st_mode & 0o777) for path in shown.parent.parent.glob("*/*/key.pem")] == ["0o600"] * 2


def test_link_and_copy_have_the_owner_group_and_mode_of_the_settings(tmp_path: Path) -> None:
    require("root")
    wanted = 'owner = "daemon"\ngroup = "www-data"\nmode = "0640"\n'
    host = Host.make(
        tmp_path,
        STATE + LINK + wanted + COPY.partition("[[line.output]]")[1] + COPY.partition("[[line.output]]")[2] + wanted,
    )
    host.install(1, ["shop"])
    for path in (tmp_path / "links" / "shop.pem", tmp_path / "copies" / "shop.pem"):
        assert (path.owner(), path.group(), oct(path.stat().st_mode & 0o777)) == ("daemon", "www-data", "0o640")
    assert not host.install(1, ["shop"])


def test_an_output_in_a_folder_that_gives_its_group_away_is_in_place_at_once(host: Host) -> None:
    require("root")
    os.chown(host.folder / "copies", 0, 65534)
    (host.folder / "copies").chmod(0o2755)
    host.install(1)
    assert not host.install(1)


def test_an_output_that_is_wanted_no_more_keeps_what_it_showed_last(host: Host) -> None:
    host.install(1)
    host.write_settings(STATE + COPY)
    assert host.install(2, ["shop"])
    path = host.folder / "links" / "mail.pem"
    assert not path.is_symlink()
    assert path.read_bytes() == material("mail", 1).key_pem + material("mail", 1).chain_pem.encode()
    assert path.stat().st_mode & 0o777 == 0o600
    host.write_settings(SETTINGS)
    assert host.install(3)
    assert path.is_symlink()


def test_a_link_may_become_a_copy_and_a_link_again(host: Host) -> None:
    path = host.folder / "links" / "shop.pem"
    for version, text in enumerate((LINK, LINK + 'as = "copy"\n', LINK), 1):
        host.write_settings(STATE + text)
        assert host.install(version, ["shop"])
        assert path.is_symlink() == (text == LINK)
        assert path.read_bytes() == material("shop", version).chain_pem.encode()
    assert not (host.state_dir / "replaced").exists()


def test_a_file_of_somebody_else_is_not_replaced_by_a_link(host: Host) -> None:
    host.write_settings(STATE + LINK)
    path = host.folder / "links" / "shop.pem"
    path.write_text("the admin's own")
    with pytest.raises(InstallFault) as caught:
        host.install(1, ["shop"])
    assert f"output {path}: a file that certline did not make stands there: move it away, or set as" in str(
        caught.value
    )
    assert path.read_text() == "the admin's own"
    assert (host.live_version(), host.installer().numbers(), host.leftovers()) == (None, [], [])


def test_a_copy_replaces_a_file_of_somebody_else_and_keeps_it_aside(host: Host) -> None:
    host.write_settings(STATE + COPY)
    path = host.folder / "copies" / "shop.pem"
    path.write_text("the admin's own")
    path.chmod(0o604)
    assert host.install(1, ["shop"])
    assert path.read_bytes() == material("shop", 1).chain_pem.encode()
    kept = list((host.state_dir / "replaced").iterdir())
    assert [(file.read_text(), oct(file.stat().st_mode & 0o777)) for file in kept] == [("the admin's own", "0o604")]
    assert (host.state_dir / "replaced").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", [LINK, LINK + 'as = "copy"\n'], ids=["link", "copy"])
def test_nothing_is_written_through_a_link_that_leads_away(text: str, host: Host) -> None:
    secret = host.folder / "elsewhere"
    secret.write_text("of somebody else")
    (host.folder / "links" / "shop.pem").symlink_to(secret)
    host.write_settings(STATE + text)
    if text == LINK:
        with pytest.raises(InstallFault, match="a link that certline did not make stands there"):
            host.install(1, ["shop"])
    else:
        assert host.install(1, ["shop"])
        assert (host.folder / "links" / "shop.pem").read_bytes() == material("shop", 1).chain_pem.encode()
    assert secret.read_text() == "of somebody else"


def test_a_link_planted_where_a_file_is_prepared_is_not_followed(host: Host) -> None:
    host.install(1)
    target = host.folder / "elsewhere"
    for path in _staged_names(host):
        path.symlink_to(target)
    host.install(2)
    assert (host.copied_version(), host.linked_version()) == (2, 2)
    assert not target.exists()


def _staged_names(host: Host) -> list[Path]:
    """Where the copies are prepared: seen by stopping an installation there."""
    killed = host.run(host.command(2), "install.after_each_staged:2")
    assert killed.returncode == -9
    staged = list((host.folder / "copies").glob(".certline-*"))
    assert len(staged) == 2
    for path in staged:
        path.unlink()
    (host.state_dir / "copies.json").unlink()
    return staged


REFUSED = {
    "missing directory": ("missing/shop.pem", "the directory {0}/missing is missing: create it"),
    "directory": ("links", "a directory stands there: remove it, or choose another path"),
    "pipe": ("pipe", "no ordinary file stands there: choose another path"),
    "file as a directory": ("file/shop.pem", "a part of the path is no directory: correct the path"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("way", ["link", "copy"])
def test_a_destination_that_cannot_be_is_told_and_the_former_version_stays(case: str, way: str, host: Host) -> None:
    host.install(1)
    os.mkfifo(host.folder / "pipe")
    (host.folder / "file").touch()
    name, why = REFUSED[case]
    more = f'[[line.output]]\nkind = "cert"\npath = "{name}"\nas = "{way}"\n'
    host.write_settings(SETTINGS + more)
    with pytest.raises(InstallFault) as caught:
        host.install(2)
    assert str(caught.value) == f"output {host.folder / name}: {why.format(host.folder)}"
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (1, 1, 1)
    assert (host.installer().numbers(), host.leftovers()) == ([1], [])


def test_a_group_that_is_gone_is_told_with_its_output(host: Host) -> None:
    host.install(1)
    made = render(materials(2), settings.load(host.settings_file), 2)
    source = made.outputs[0].source
    gone = replace(made, files={**made.files, source: replace(made.files[source], group="gone-since")})
    with pytest.raises(InstallFault) as caught:
        host.installer().install(gone)
    expected = f"output {made.outputs[0].path}: there is no group 'gone-since' on this host: create it"
    assert str(caught.value).startswith(expected)
    assert (host.live_version(), host.leftovers()) == (1, [])


@pytest.mark.parametrize("damage", [b"", b"{", b'{"digest":"', b"\xff\x00", b'{"format":99}'])
def test_a_damaged_record_is_not_believed_and_the_next_installation_mends_it(damage: bytes, host: Host) -> None:
    host.install(1)
    (host.state_dir / "live" / "generation.json").write_bytes(damage)
    assert host.installer().live() is None
    assert host.live_version() == 1
    assert host.install(1)
    assert (host.installer().numbers(), host.live_version()) == ([1, 2], 1)
    assert host.leftovers() == []


@pytest.mark.parametrize("name", ["shop/ecdsa-p256/key.pem", "mail/ecdsa-p256/fullchain.pem", "_outputs"])
def test_a_live_generation_that_was_damaged_by_hand_is_made_anew(name: str, host: Host) -> None:
    host.install(1)
    damaged = host.state_dir / "live" / name
    if damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.write_bytes(b"damaged")
    assert host.install(1)
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (1, 1, 1)
    assert not host.install(1)


@pytest.mark.parametrize("target", ["../../etc", "/etc", "generations/../generations/000001", "generations/x"])
def test_a_live_link_that_leads_elsewhere_is_not_believed(target: str, host: Host) -> None:
    host.install(1)
    (host.state_dir / "live").unlink()
    (host.state_dir / "live").symlink_to(target)
    assert host.installer().live() is None
    assert host.install(1)
    assert host.live_version() == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\x00", b'{"format":99}'])
def test_a_damaged_journal_stops_nothing(damage: bytes, host: Host) -> None:
    host.install(1)
    (host.state_dir / "copies.json").write_bytes(damage)
    assert host.install(2)
    assert (host.live_version(), host.copied_version(), host.leftovers()) == (2, 2, [])
