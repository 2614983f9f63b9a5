"""A master put back to yesterday: nothing is issued twice, and hosts follow it once, visibly (security test C9)."""

import shutil
from pathlib import Path

from tests.end_to_end.assertions import assert_installed, same_serial, serial_of
from tests.end_to_end.harness import Bed, Requests, fleet, watched
from tests.end_to_end.host import CHANGED, FAILED, NOTHING, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.fault_proxy import Fault, FaultProxy, answer

WWW = "www.example.test"
LINE = HostLine("www", (WWW,))


def started(bed: Bed, proxy: FaultProxy) -> tuple[MasterProcess, FollowerHost]:
    master = bed.master()
    master.start()
    master.set_fleet(fleet(proxy, {"web": [WWW]}))
    host = bed.enrolled(master, "web")
    host.configure(LINE)
    return master, host


def backed_up(master: MasterProcess, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "backup.tar.gz"
    master.command("backup", file).well()
    return file


def restored(master: MasterProcess, file: Path, *more: str) -> str:
    master.stop()
    said = master.command("restore", file, "--force", *more).well().out
    master.start()
    return said


def renewed(master: MasterProcess, host: FollowerHost) -> str:
    before = master.live_serial("www@web")
    master.renew("www@web")
    serial = master.issued("www@web", after=before)
    host.sync().well(CHANGED)
    assert_installed(host.tls, serial)
    return serial


def test_what_was_issued_after_the_backup_comes_back_from_its_host_and_is_not_ordered_again(
    here: Bed, tmp_path: Path
) -> None:
    with watched(here.ca) as proxy:
        master, host = started(here, proxy)
        host.sync().well(CHANGED)
        file = backed_up(master, tmp_path / "b")
        second = renewed(master, host)
        assert Requests(proxy).orders == 2

        said = restored(master, file)

        assert "follower     web" in said
        host.sync().well(CHANGED, NOTHING)
        assert same_serial(master.live_serial("www@web") or "", second)
        assert_installed(host.tls, second)
        host.sync().well(NOTHING)
        assert Requests(proxy).orders == 2
        assert len(master.events("version.handed-back")) == len(master.events("instance.went-back")) == 1
        renewed(master, host)  # life goes on
        assert Requests(proxy).orders == 3


def test_an_order_under_way_at_the_backup_goes_on_and_is_not_doubled(here: Bed, tmp_path: Path) -> None:
    with watched(here.ca) as proxy:
        busy = proxy.add(Fault(path="finalize-order", reply=answer(503, Retry_After="1")))
        master, host = started(here, proxy)
        host.start()
        eventually(lambda: busy.struck, 10, "the CA is busy")
        file = backed_up(master, tmp_path / "b")
        host.stop()
        proxy.heal()
        first = master.issued("www@web")

        said = restored(master, file)

        assert "orders that go on where the CA has them: 1; that wait: 0" in said
        assert same_serial(master.issued("www@web"), first)
        assert Requests(proxy).orders == 1
        host.sync().well(CHANGED)
        assert_installed(host.tls, first)


def test_an_order_that_the_backup_knows_no_url_of_waits_for_its_host(here: Bed, tmp_path: Path) -> None:
    with watched(here.ca) as proxy:
        busy = proxy.add(Fault(path="order-plz", reply=answer(503, Retry_After="1")))
        master, host = started(here, proxy)
        host.start()
        eventually(lambda: busy.struck, 10, "the CA is busy")
        file = backed_up(master, tmp_path / "b")
        proxy.heal()
        first = master.issued("www@web")
        eventually(lambda: host.output("fullchain.pem"), 10, "the certificate on the host")
        host.stop()
        orders = Requests(proxy).orders

        restored(master, file)

        host.sync().well(CHANGED, NOTHING)
        assert same_serial(master.live_serial("www@web") or "", first)
        assert same_serial(serial_of(host.output("fullchain.pem") or b""), first)
        assert Requests(proxy).orders == orders


def test_a_snapshot_put_in_place_raises_an_alarm_and_the_epoch_is_raised_by_hand(here: Bed, tmp_path: Path) -> None:
    with watched(here.ca) as proxy:
        master, host = started(here, proxy)
        host.sync().well(CHANGED)
        master.stop()
        data = master.folder / "data"
        shutil.copytree(data, tmp_path / "snapshot")
        master.start()
        second = renewed(master, host)
        master.stop()
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "snapshot", data)
        master.start()

        assert "the manifest is refused: rollback: " in host.sync().refused(FAILED)
        host.sync().refused(FAILED)

        [alarm] = master.events("master.behind")
        assert "`certline epoch raise`" in alarm["text"]
        assert_installed(host.tls, second)
        master.command("epoch", "raise").well()
        master.restart()
        host.sync().well(CHANGED, NOTHING)
        assert same_serial(master.live_serial("www@web") or "", second)
        assert_installed(host.tls, second)
        assert Requests(proxy).orders == 2
