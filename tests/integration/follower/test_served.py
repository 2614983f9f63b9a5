"""A deployment is followed until a real nginx serves it, and undone when it breaks (B8)."""

import os
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from certline_follower import deploying
from certline_follower.probing import fingerprint
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock
from tests.testbed.authority import Authority
from tests.testbed.nginx import Nginx, nginx, presented_certificate
from tests.testbed.parts import require

SHOP = "shop.example.org"


@pytest.fixture
def server(bed: Bed) -> Iterator[Nginx]:
    """An nginx that serves shop's files; until certline installs there, those of an administrator."""
    require("nginx")
    os.umask(0o022)
    bed.folder.chmod(0o755)
    first = Authority(bed.folder / "before").issue("first")
    for name, file in (("fullchain", first.chain_file), ("key", first.key_file)):
        (bed.folder / f"{name}.pem").write_bytes(file.read_bytes())
    with nginx([(bed.folder / "fullchain.pem", bed.folder / "key.pem")]) as made:
        yield made


def quoted(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def configure(bed: Bed, server: Nginx, *, port: int | None = None, more: str = "", top: str = "") -> None:
    """The line shop, for nginx, whose commands are counted."""
    counted = bed.folder / "count.sh"
    counted.write_text(
        f'#!/bin/sh\necho "$1" >> {shlex.quote(str(bed.folder / "calls"))}\nshift\n'
        f'test ! -e {bed.folder}/broken || {{ echo "emerg: it is broken"; exit 1; }}\n'
        f"test ! -e {bed.folder}/only || cmp -s {bed.folder}/only {bed.folder}/fullchain.pem || "
        '{ echo "emerg"; exit 1; }\n'
        'exec "$@"\n'
    )
    counted.chmod(0o755)
    outputs = [
        f'[[line.output]]\nkind = "{kind}"\npath = "{bed.folder / kind}.pem"\nas = "copy"\n'
        for kind in ("fullchain", "key")
    ]
    bed.file.write_text(
        f'state_dir = "state"\n{top}\n[[line]]\nname = "shop"\nnames = ["{SHOP}"]\nservices = ["nginx"]\n'
        + "".join(outputs)
        + f"[services.nginx]\ncheck = [{quoted([str(counted), 'check', *server.check_command])}]\n"
        f"reload = [{quoted([str(counted), 'reload', *server.reload_command])}]\nprobe_seconds = 3\n{more}\n"
        f'[[services.nginx.probe]]\nconnect = "127.0.0.1:{port or server.port}"\n'
    )


def served(server: Nginx) -> str:
    return fingerprint(presented_certificate(server.port, SHOP))


def seen(master: FakeMaster) -> str:
    """What the follower says that it saw: workers of nginx that are about to end may still show another one."""
    told = master.last_report("shop")
    assert told
    return next(iter(told.seen.values()))


def comes_to_serve(server: Nginx, wanted: str) -> None:
    server.process.wait_until(lambda: served(server) == wanted, seconds=10)


def report(master: FakeMaster) -> tuple[int, str, str | None]:
    told = master.last_report("shop")
    assert told
    return told.version, told.state, told.error


@pytest.fixture
def clock(bed: Bed, master: FakeMaster) -> MovableClock:
    master.clock = bed.clock = moved = MovableClock()
    return moved


def test_what_the_server_really_serves_is_reported(bed: Bed, master: FakeMaster, server: Nginx) -> None:
    configure(bed, server)
    bed.settle()
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state, told.goal, told.error) == (1, "served", "served", None)
    assert list(told.seen) == [f"127.0.0.1:{server.port} {SHOP}"]
    comes_to_serve(server, seen(master))


def test_a_version_that_the_server_would_refuse_is_put_back_once_and_not_tried_again_by_itself(
    bed: Bed, master: FakeMaster, server: Nginx, clock: MovableClock
) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    good = seen(master)
    master.issue("shop")
    refuse_all_but_the_present(bed)
    bed.turn(host)
    comes_to_serve(server, good)
    version, state, error = report(master)
    assert (version, state) == (2, "pulled")
    assert "its check failed" in str(error)
    assert "emerg" in str(error)
    bed.turn(host)
    calls = bed.calls
    assert calls[-1] == "reload", "the former generation was reloaded"
    for _ in range(20):
        clock.ahead += timedelta(hours=12)
        bed.turn(host)
    assert bed.calls == calls, "no flip-flop"
    comes_to_serve(server, good)


def refuse_all_but_the_present(bed: Bed) -> None:
    (bed.folder / "only").write_bytes((bed.folder / "fullchain.pem").read_bytes())


def break_from_the_second_check(bed: Bed) -> None:
    """The check before the swap is well, all that follow are not."""
    script = bed.folder / "count.sh"
    text = script.read_text()
    first, rest = text.split("\n", 1)
    mark = f"test ! -e {bed.folder}/next || mv {bed.folder}/next {bed.folder}/broken"
    script.write_text(f"{first}\n{rest.replace('exec', f'{mark}; exec')}")


def test_a_server_that_goes_on_with_the_old_certificate_is_found_out(
    bed: Bed, master: FakeMaster, server: Nginx
) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    good, reloads = seen(master), bed.calls.count("reload")
    comes_to_serve(server, good)
    text = bed.file.read_text()
    bed.file.write_text(
        text.replace(f"reload = [{quoted([str(bed.folder / 'count.sh'), 'reload'])}", "reload = ['true'")
    )
    master.issue("shop")
    host = bed.host()
    outcome = bed.turn(host)
    assert "its probe failed" in outcome.failures[0]
    assert "the former generation is back" in outcome.failures[0]
    assert report(master)[:2] == (2, "pulled")
    comes_to_serve(server, good)
    assert bed.calls.count("reload") == reloads


def test_a_probe_that_was_wrong_before_blames_no_version(bed: Bed, master: FakeMaster, server: Nginx) -> None:
    with nginx([(bed.folder / "before" / "first.pem", bed.folder / "before" / "first.key")]) as other:
        configure(bed, server, port=other.port)
        host = bed.host()
        bed.settle(host)
        version, state, error = report(master)
        assert (version, state) == (1, "reloaded")
        assert "serves another certificate" in str(error)
        master.issue("shop")
        bed.turn(host)
        assert report(master)[:2] == (2, "reloaded")
        told = master.last_report("shop")
        assert told
        assert told.retry_at is not None
        assert list(told.seen.values()) == [served(other)]


def test_deploy_tries_a_version_that_is_held_back_and_a_renewed_one_needs_no_word(
    bed: Bed, master: FakeMaster, server: Nginx
) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    (bed.folder / "next").touch()
    break_from_the_second_check(bed)
    bed.turn(host)
    (bed.folder / "broken").unlink()
    told = deploying.deployed(host, ["shop"])
    assert (told["exit_code"], told["lines"]["shop"]["state"]) == (0, "served")
    assert report(master) == (2, "served", None)


def test_deploy_checks_reloads_and_probes_although_nothing_is_new(bed: Bed, server: Nginx) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    calls = len(bed.calls)
    told = deploying.deployed(host)
    assert bed.calls[calls:] == ["check", "reload"]
    assert told["lines"]["shop"]["state"] == "served"


def test_a_probe_that_is_new_in_the_settings_looks_and_reloads_nothing(
    bed: Bed, master: FakeMaster, server: Nginx
) -> None:
    configure(bed, server)
    text = bed.file.read_text()
    bed.file.write_text(text.partition("[[services.nginx.probe]]")[0])
    bed.settle()
    assert report(master) == (1, "reloaded", None)
    calls = bed.calls
    bed.file.write_text(text)
    bed.settle()
    assert report(master) == (1, "served", None)
    assert bed.calls == calls


def test_an_expired_certificate_is_not_put_back(
    bed: Bed, master: FakeMaster, server: Nginx, clock: MovableClock
) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    clock.ahead += timedelta(days=91)
    master.issue("shop")
    (bed.folder / "next").touch()
    break_from_the_second_check(bed)
    outcome = bed.turn(host)
    assert "the former generation is back" not in outcome.failures[0]
    assert report(master)[:2] == (2, "installed")


def test_a_version_held_back_is_tried_again_when_the_installed_one_runs_short(
    bed: Bed, master: FakeMaster, server: Nginx, clock: MovableClock
) -> None:
    configure(bed, server)
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    (bed.folder / "next").touch()
    break_from_the_second_check(bed)
    bed.turn(host)
    (bed.folder / "broken").unlink()
    clock.ahead += timedelta(days=84)
    bed.settle(host)
    assert report(master) == (2, "served", None)


def test_a_new_version_waits_for_its_window_and_deploy_does_not(
    bed: Bed, master: FakeMaster, server: Nginx, clock: MovableClock
) -> None:
    configure(bed, server, more='windows = ["Sat 02:00-05:00 Europe/Berlin"]')
    clock.ahead = next_monday(clock) - clock.now()
    host = bed.host()
    bed.settle(host)
    assert report(master) == (1, "served", None), "the first version waits for no window"
    master.issue("shop")
    outcome = bed.turn(host)
    assert any("waits for its window (Sat 02:00-05:00 Europe/Berlin)" in note for note in outcome.notes)
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state, told.error, told.retry_at is not None) == (2, "pulled", None, True)
    assert outcome.next_look is not None
    clock.ahead += timedelta(days=3)
    assert not bed.turn(host).changed
    clock.ahead += outcome.next_look - clock.now()
    bed.settle(host)
    assert report(master) == (2, "served", None)
    clock.ahead += timedelta(days=1)
    master.issue("shop")
    bed.turn(host)
    assert report(master) == (3, "pulled", None)
    deploying.deployed(host)
    assert report(master) == (3, "served", None)


def next_monday(clock: MovableClock) -> datetime:
    now = clock.now()
    return now + timedelta(days=7 - now.weekday())
