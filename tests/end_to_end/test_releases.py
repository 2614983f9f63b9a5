"""Releases side by side: followers of a former one, a master of a former one, and the upgrade of either."""

from pathlib import Path

import pytest

from tests.end_to_end.assertions import assert_installed
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, NOTHING, HostLine
from tests.end_to_end.master import MasterProcess
from tests.testbed.postgres import PostgresServer
from tests.testbed.releases import former_releases, prefix_for

WWW = "www.example.test"
LINE = HostLine("www", (WWW,))
PRESENT: list[str] = []

pytestmark = pytest.mark.parametrize("former", former_releases())


def test_a_follower_of_a_former_release_gets_and_renews_its_certificate(here: Bed, former: str, tmp_path: Path) -> None:
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web", release=prefix_for(former, tmp_path))
    assert former in host.command("--version").well().out
    host.configure(LINE)

    host.sync().well(CHANGED)
    first = master.live_serial("www@web") or ""
    assert_installed(host.tls, first)

    master.renew("www@web")
    second = master.issued("www@web", after=first)
    host.sync().well(CHANGED)
    assert_installed(host.tls, second)
    assert not master.events("follower.refused")


def test_a_master_of_a_former_release_serves_a_follower_of_today(here: Bed, former: str, tmp_path: Path) -> None:
    master = _of_release(here, former, tmp_path)
    host = here.enrolled(master, "web")
    host.configure(LINE)

    host.sync().well(CHANGED)

    assert_installed(host.tls, master.live_serial("www@web") or "")
    host.sync().well(NOTHING)


def test_after_the_masters_upgrade_its_hosts_go_on_and_then_are_upgraded_themselves(
    here: Bed, former: str, tmp_path: Path
) -> None:
    master = _of_release(here, former, tmp_path)
    _survives_the_upgrade(here, master, former, tmp_path)


def test_the_upgrade_works_on_postgres_too(here: Bed, former: str, tmp_path: Path, postgres: PostgresServer) -> None:
    master = _of_release(here, former, tmp_path, database=postgres.new_database())
    _survives_the_upgrade(here, master, former, tmp_path)


def _of_release(here: Bed, former: str, folder: Path, *, database: str | None = None) -> MasterProcess:
    """A master of that release, serving one follower `web`."""
    master = here.master(database=database, release=prefix_for(former, folder))
    assert former in master.command("--version").well().out
    master.start()
    master.apply(fleet(here.ca, {"web": [WWW]})).well()  # by its own command: today's knows sections that it does not
    return master


def _survives_the_upgrade(here: Bed, master: MasterProcess, former: str, folder: Path) -> None:
    host = here.enrolled(master, "web", release=prefix_for(former, folder))
    host.configure(LINE)
    host.sync().well(CHANGED)
    first = master.live_serial("www@web") or ""

    master.upgrade()
    host.sync().well(NOTHING)
    assert master.live_serial("www@web") == first

    master.renew("www@web")
    second = master.issued("www@web", after=first)
    host.sync().well(CHANGED)
    assert_installed(host.tls, second)

    host.release = PRESENT
    host.sync().well(NOTHING)
    master.renew("www@web")
    third = master.issued("www@web", after=second)
    host.sync().well(CHANGED)
    assert_installed(host.tls, third)
