"""Fixtures that hand the parts of the test bed to the tests; nothing is imported or started before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.testbed.bind import Bind
    from tests.testbed.challtestsrv import ChallTestSrv
    from tests.testbed.fault_proxy import FaultProxy
    from tests.testbed.netns import IsolatedNetwork
    from tests.testbed.pebble import Pebble
    from tests.testbed.postgres import PostgresServer


@pytest.fixture
def challtestsrv() -> Iterator[ChallTestSrv]:
    """The DNS that the Pebbles of this test ask."""
    from tests.testbed import challtestsrv as part
    from tests.testbed.parts import require

    require("pebble")
    with part.challtestsrv() as running:
        yield running


@pytest.fixture
def pebble_calm(challtestsrv: ChallTestSrv) -> Iterator[Pebble]:
    """A Pebble that validates at once, refuses no nonce and reuses no authorization."""
    from tests.testbed import pebble as part

    with part.pebble("calm", dns_server=challtestsrv.dns_address) as running:
        yield running


@pytest.fixture
def pebble_rough(challtestsrv: ChallTestSrv) -> Iterator[Pebble]:
    """A Pebble that takes its time, refuses nonces, reuses authorizations and asks for waits."""
    from tests.testbed import pebble as part

    with part.pebble("rough", dns_server=challtestsrv.dns_address) as running:
        yield running


@pytest.fixture
def fault_proxy(pebble_calm: Pebble) -> Iterator[FaultProxy]:
    """A proxy in front of the calm Pebble, at first without a fault."""
    from tests.testbed.fault_proxy import in_front_of

    with in_front_of(pebble_calm) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for each test worker; ask it for a `new_database()` in each test."""
    from tests.testbed.parts import require
    from tests.testbed.postgres import postgres_server

    require("postgres")
    with postgres_server() as running:
        yield running


@pytest.fixture
def bind() -> Iterator[Bind]:
    """A BIND that is primary for the zone example.test."""
    from tests.testbed import bind as part
    from tests.testbed.parts import require

    require("named")
    with part.bind() as running:
        yield running


@pytest.fixture
def isolated_network() -> Iterator[IsolatedNetwork]:
    """A network for hosts that reach the master's address on chosen ports only."""
    from tests.testbed import netns as part
    from tests.testbed.parts import require

    require("isolation")
    with part.isolated_network() as network:
        yield network
