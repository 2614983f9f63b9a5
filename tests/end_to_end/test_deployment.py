"""A version followed until a real nginx serves it; one that it does not serve is put back, held back, tried again."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, FAILED, HostLine, HostService
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.nginx import Nginx, nginx, presented_certificate
from tests.testbed.parts import require

SHOP = "shop.example.test"
LINE = HostLine("shop")


@contextmanager
def web_server(here: Bed) -> Iterator[tuple[MasterProcess, Any, Nginx]]:
    """A master that keeps the key of shop, a host that has its first version, and nginx with these files."""
    require("nginx")
    master = here.master()
    master.start()
    wanted = fleet(here.ca, {}, lines={"shop": {"custody": "master", "names": [SHOP]}})
    master.set_fleet(wanted | {"followers": {"web": {"grants": {"pull": ["shop"]}}}})
    master.issued("shop")
    host = here.enrolled(master, "web")
    host.configure(LINE)
    host.sync().well(CHANGED)
    with nginx([(host.tls / "fullchain.pem", host.tls / "key.pem")]) as server:
        yield master, host, server


def standing(master: MasterProcess) -> dict[str, Any]:
    (found,) = master.get("/v1/lines/shop")["hosts"]
    assert isinstance(found, dict)
    return found


def renewed(master: MasterProcess) -> None:
    before = master.live_serial("shop")
    master.renew("shop")
    master.issued("shop", after=before)


def test_what_nginx_serves_is_shown_as_served_and_what_it_does_not_as_held_back(here: Bed) -> None:
    with web_server(here) as (master, host, server):
        good = HostService("nginx", server.reload_command, server.check_command, (f"127.0.0.1:{server.port}",))
        host.configure(replace(LINE, services=("nginx",)), services=[good])
        renewed(master)
        host.sync().well(CHANGED)

        first = standing(master)
        assert (first["wanted"], first["served"], first["goal"], first["arrived"]) == (2, 2, "served", True)
        leaf = hashlib.sha256(presented_certificate(server.port)).hexdigest()
        assert list(first["seen"].values()) == [leaf]
        master.command("status", "--check", "--quiet").well()

        deaf = replace(good, reload=("true",))
        host.configure(replace(LINE, services=("nginx",)), services=[deaf])
        renewed(master)
        host.sync().well(FAILED)

        held = standing(master)
        assert (held["wanted"], held["installed"], held["served"], held["arrived"]) == (3, 2, 2, False)
        assert held["error"]
        assert held["retry_at"]
        assert hashlib.sha256(presented_certificate(server.port)).hexdigest() == leaf
        assert "NOT DEPLOYED" in master.command("status", "--check", "--quiet").well(4).out

        master.restart()
        assert standing(master) == held
        shown = master.command("line", "show", "shop").well().out
        assert "version 3 is held back on web since" in shown
        assert json.loads(master.command("follower", "show", "web", "--output", "json").well().out)["standings"] == [
            held
        ]

        host.configure(replace(LINE, services=("nginx",)), services=[good])
        host.command("deploy").well()
        last = eventually(lambda: standing(master)["served"] == 3 and standing(master), 10, "version 3 is served")
        assert last["text"] == "version 3 is served on web"
        assert list(last["seen"].values()) != [leaf]
        master.command("status", "--check", "--quiet").well()
