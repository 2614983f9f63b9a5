"""Two hundred hosts ask for one shared certificate at once (fault test F3): one order, two hundred copies, all told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_shared.certificates import matches
from certline_shared.keys import from_pem
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, fleet, key_in, line_of, pulled, reports

CROWD = 200
AT_ONCE = 40


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        applied(running, fleet())
        yield running


def install(host: FollowerClient) -> bytes:
    """What a host does once its manifest names a version; the sealed key's text is its own."""
    line = line_of(host)
    assert line is not None
    assert line.version == 1
    content = pulled(host, 1)
    assert matches(from_pem(key_in(host, content)), content.files["ecdsa-p256/chain.pem"])
    reports(host, 1, keys={"shop": (line.spki_sha256["ecdsa-p256"],)})
    return content.files["ecdsa-p256/key.sealed"].encode()


def test_two_hundred_hosts_at_once_make_one_order_and_two_hundred_installs(bed: Bed) -> None:
    hosts = [bed.follower(f"crowd-{number}", pulls=("shop",)) for number in range(CROWD)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(host.manifest) for host in hosts]
        bed.engine.run()
        assert {answer.result().status_code for answer in asked} == {200}
        sealed = list(pool.map(install, hosts))
    assert len(set(sealed)) == CROWD
    assert bed.engine.ca.count("newOrder") == 1
    with bed.store.read() as records:
        line = records.lines.get(SYSTEM, "shop")
        assert len(records.orders.of_line(SYSTEM, line.id)) == 1
        deployed = records.followers.deployments(SYSTEM, line_id=line.id)
    assert {(one.version, one.state) for one in deployed} == {(1, "installed")}
    assert len(deployed) == CROWD
    released = bed.events("key.released")
    assert len({event.actor for event in released}) == len(released) == CROWD
    copies = bed.ask("GET", "/v1/keys/shop/where").json()["copies"]
    assert sum(copy["seen"] is not None for copy in copies) == CROWD
    assert len(bed.events("version.ordered")) == 1
