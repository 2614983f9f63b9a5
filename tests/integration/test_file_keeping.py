"""All files of a version or none, wherever they lie; what was replaced is kept as long as the settings say."""

import itertools
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower.disk import FAILPOINTS
from certline_follower.faults import InstallFault
from certline_shared.failpoints import watched
from tests.integration.files_bed import FilesHost, valid_from, version_of
from tests.testbed.parts import require

DATED = """\
[[line]]
name = "shop"
preset = "dated"
dir = "etc"
date_format = "%Y-%m-%d"
"""
PLAIN = """\
[[line]]
name = "shop"
[[line.output]]
kind = "cert"
path = "etc/a/{name}.pem"
as = "copy"
folder_mode = "0755"
[[line.output]]
kind = "fullchain"
path = "etc/b/{name}.pem"
folder_mode = "0755"
[[line.output]]
kind = "key-fullchain"
path = "etc/b/{name}-{version}.pem"
link = "etc/a/{name}-newest.pem"
"""
ARCHIVE = '[line.archive]\npath = "etc/old/{name}/{date}/{file}"\n'


@pytest.fixture
def host(tmp_path: Path) -> FilesHost:
    return FilesHost(tmp_path, PLAIN + ARCHIVE)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


class _Killed(BaseException):
    """SIGKILL: nothing of ours may catch it."""


def killed_at(failpoint: str, nth: int, host: FilesHost, version: int) -> bool:
    """Whether an installation came to that passing of the failpoint, and was killed there."""
    passings = itertools.count(1)

    def reached(name: str) -> None:
        if name == failpoint and next(passings) == nth:
            raise _Killed

    try:
        with watched(reached):
            host.install(version_of("shop", version), prune=False)
    except _Killed:
        return True
    return False


def shown(host: FilesHost) -> int:
    """The version that all files show, alone or through their link; mixed ones fail."""
    versions = {version_of("shop", number).chain_pem: number for number in (1, 2, 3)}
    texts = [host.read(f"etc/{place}").decode() for place in ("a/shop.pem", "b/shop.pem", "a/shop-newest.pem")]
    found = {number for chain, number in versions.items() for text in texts if text.count(chain.split("-\n")[1]) == 1}
    assert len(found) == 1, "files of different versions"
    return found.pop()


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_leaves_all_files_links_and_archived_files_of_one_version(failpoint: str, tmp_path: Path) -> None:
    """2.1 line 26, at every passing of every step; then the next start finishes or undoes it."""
    for nth in itertools.count(1):
        folder = tmp_path / str(nth)
        folder.mkdir()
        host = FilesHost(folder, PLAIN + ARCHIVE)
        host.install(version_of("shop", 1))
        killed = killed_at(failpoint, nth, host, 2)
        host.installer.recover()
        archived = names(folder / "etc" / "old") if (folder / "etc" / "old").exists() else []
        assert archived == (["shop.pem", "shop.pem.1"] if shown(host) == 2 else [])
        host.install(version_of("shop", 2))
        assert shown(host) == 2
        assert names(folder / "etc" / "old") == ["shop.pem", "shop.pem.1"]
        if not killed:
            return


def test_when_the_fourth_of_six_files_cannot_be_written_all_six_are_as_before(tmp_path: Path) -> None:
    """2.1 line 26; the fourth is larger than this process may write, from the moment that outputs are written."""
    output = '[[line.output]]\nkind = "{1}"\npath = "{0}/shop.pem"\nas = "copy"\nfolder_mode = "0755"\n'
    each = [output.format(one, "fullchain" if one == "d" else "cert") for one in "abcdef"]
    host = FilesHost(tmp_path, '[[line]]\nname = "shop"\n' + "".join(each))
    host.install(version_of("shop", 1))
    before = {one: host.read(f"{one}/shop.pem") for one in "abcdef"}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(name: str) -> None:
        if name in {"install.after_rename", "undo.after_outputs"}:
            most = len(before["d"]) - 100 if name == "install.after_rename" else limits[0]
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))

    with watched(limit), pytest.raises(InstallFault, match=r"output .*/d/shop.pem"):
        host.install(version_of("shop", 2))
    assert {one: host.read(f"{one}/shop.pem") for one in "abcdef"} == before
    host.install(version_of("shop", 2))
    assert not set(before.values()) & {host.read(f"{one}/shop.pem") for one in "abcdef"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder in another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        require("isolation")  # what such machines lack too
        pytest.skip("there is only one file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_files_links_and_archive_may_lie_in_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    """2.1 line 8: it works, there is nothing to be stopped by."""
    host = FilesHost(tmp_path, (PLAIN + ARCHIVE).replace('"etc/', f'"{elsewhere}/etc/'))
    for version in (1, 2):
        host.install(version_of("shop", version))
    leaf = version_of("shop", 2).chain_pem
    assert (elsewhere / "etc" / "b" / "shop.pem").read_text() == leaf
    assert (elsewhere / "etc" / "a" / "shop-newest.pem").read_text().endswith(leaf)
    assert len(names(elsewhere / "etc" / "old")) == 2


def test_replaced_files_lie_in_the_archive_under_the_time_of_the_change(host: FilesHost) -> None:
    """2.1 line 27; what is only a link is archived by what it showed."""
    for version in (1, 2):
        host.install(version_of("shop", version))
    folder = host.folder / "etc" / "old" / "shop" / "2026_11_22_130000"
    assert names(folder) == ["shop.pem", "shop.pem.1"]
    old = version_of("shop", 1).chain_pem
    assert {(folder / name).read_text() for name in names(folder)} == {old, old[: old.index("-----END") + 26]}


def test_what_does_not_change_is_not_archived(host: FilesHost) -> None:
    host.install(version_of("shop", 1))
    assert not host.install(version_of("shop", 1))
    (host.folder / "etc" / "a" / "shop.pem").unlink()
    host.install(version_of("shop", 1))
    assert not (host.folder / "etc" / "old").exists()


def test_a_key_that_the_master_keeps_is_not_archived(tmp_path: Path) -> None:
    """The master is told of each copy while it lies on the host; an archive would hold it for good."""
    output = '[[line.output]]\nkind = "{0}"\npath = "etc/{0}.pem"\nas = "copy"\nfolder_mode = "0755"\n'
    host = FilesHost(
        tmp_path, '[[line]]\nname = "shop"\n' + output.format("combined") + output.format("cert") + ARCHIVE
    )
    for version in (1, 2):
        host.install(replace(version_of("shop", version), is_copy=True))
    assert names(tmp_path / "etc" / "old") == ["cert.pem"]


def dates(host: FilesHost) -> list[int]:
    """The days in November of the dated files that are there."""
    folder = host.folder / "etc"
    return sorted(int(path.stem[-2:]) for path in folder.glob("shop-2026-*.pem"))


def test_without_a_limit_every_dated_file_stays(tmp_path: Path) -> None:
    """2.2 line 8."""
    host = FilesHost(tmp_path, DATED)
    for version in range(1, 6):
        host.install(version_of("shop", version))
    assert dates(host) == [21, 22, 23, 24, 25]
    assert (tmp_path / "etc" / "shop.pem").readlink() == Path("shop-2026-11-25.pem")


def test_dated_files_beyond_the_count_go_and_the_linked_one_never(tmp_path: Path) -> None:
    """2.2 line 9."""
    host = FilesHost(tmp_path, DATED + "[line.archive]\nkeep = 2\n")
    strange = tmp_path / "etc" / "shop-2026-11-01.pem"
    for version in range(1, 6):
        host.install(version_of("shop", version))
        if version == 1:
            strange.write_text("by somebody else")
    assert dates(host) == [1, 23, 24, 25]
    oldest = host.installer.numbers()[2]
    host.installer.rollback_to(oldest)
    host.text = DATED + "[line.archive]\nkeep = 0\n"
    host.installer.prune()
    assert dates(host) == [1, 23]
    assert (tmp_path / "etc" / "shop.pem").read_bytes() == host.read("etc/shop-2026-11-23.pem")


def test_a_file_that_somebody_has_led_the_link_back_to_is_not_removed(tmp_path: Path) -> None:
    """2.2 lines 8 and 9."""
    host = FilesHost(tmp_path, DATED)
    for version in (1, 2, 3):
        host.install(version_of("shop", version))
    link = tmp_path / "etc" / "shop.pem"
    link.unlink()
    link.symlink_to("shop-2026-11-21.pem")
    host.text = DATED + "[line.archive]\nkeep = 0\n"
    host.installer.prune()
    assert dates(host) == [21, 23]


def test_files_that_are_too_old_go_with_the_folder_that_they_leave_empty(host: FilesHost) -> None:
    host.text += "days = 10\n"
    for version in (1, 2, 9):
        host.install(version_of("shop", version))
    old = host.folder / "etc" / "old" / "shop"
    assert sorted(path.name for path in old.iterdir()) == ["2026_11_22_130000", "2026_11_29_130000"]
    host.clock.set(valid_from(2) + timedelta(days=11))
    assert host.installer.has_overdue()
    host.installer.prune()
    assert sorted(path.name for path in old.iterdir()) == ["2026_11_29_130000"]
    assert not host.installer.has_overdue()


def test_a_list_of_former_files_that_is_damaged_removes_nothing(tmp_path: Path) -> None:
    host = FilesHost(tmp_path, DATED + "[line.archive]\nkeep = 5\n")
    for version in (1, 2, 3):
        host.install(version_of("shop", version))
    (tmp_path / "state" / "former-files.json").write_text("{")
    host.text = DATED + "[line.archive]\nkeep = 0\n"
    host.installer.prune()
    assert dates(host) == [21, 22, 23]


def test_a_link_that_was_changed_by_hand_is_astray_and_put_back(host: FilesHost) -> None:
    host.install(version_of("shop", 1))
    link = host.folder / "etc" / "a" / "shop-newest.pem"
    link.unlink()
    assert host.installer.astray() == {"shop": f"{link} is missing, or no link"}
    link.symlink_to("elsewhere")
    assert host.installer.astray() == {"shop": f"{link} was changed by something else"}
    assert host.install(version_of("shop", 1))
    assert host.installer.astray() == {}
    assert link.resolve() == host.folder / "etc" / "b" / "shop-1.pem"


def test_a_file_of_somebody_else_where_a_link_is_to_be_is_left_and_told(host: FilesHost) -> None:
    (host.folder / "etc" / "a").mkdir(parents=True)
    own = host.folder / "etc" / "a" / "shop-newest.pem"
    own.write_text("the admin's own")
    with pytest.raises(InstallFault, match=r"shop-newest.pem: a file stands where a link is to be: move it away"):
        host.install(version_of("shop", 1))
    assert own.read_text() == "the admin's own"
    assert host.installer.live() is None


def test_two_files_that_come_to_lie_at_one_path_are_told_by_both(tmp_path: Path) -> None:
    """What only a version tells: here its number and its date."""
    output = '[[line.output]]\nkind = "{0}"\npath = "etc/{1}.pem"\nfolder_mode = "0755"\n'
    text = '[[line]]\nname = "shop"\n' + output.format("cert", "{version}") + output.format("chain", "1")
    with pytest.raises(InstallFault, match=r"1.pem would be an output of line 'shop' and an output of line 'shop'"):
        FilesHost(tmp_path, text).install(version_of("shop", 1))


def test_a_folder_that_is_there_keeps_its_mode(host: FilesHost) -> None:
    (host.folder / "etc" / "a").mkdir(parents=True)
    (host.folder / "etc" / "a").chmod(0o750)
    host.install(version_of("shop", 1))
    assert oct((host.folder / "etc" / "a").stat().st_mode & 0o777) == "0o750"
    assert oct((host.folder / "etc" / "b").stat().st_mode & 0o777) == "0o755"
