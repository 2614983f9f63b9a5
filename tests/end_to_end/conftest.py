"""What the end-to-end tests start from."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Unpack

import pytest

from tests.end_to_end.commands import finish, installed
from tests.end_to_end.harness import Bed, bed
from tests.end_to_end.master import Listening
from tests.testbed.parts import require
from tests.testbed.pebble import PebbleConfig


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `certline init` made, once for each test worker; masters begin as copies of it."""
    folder = tmp_path_factory.mktemp("initialised") / "master"
    words = ["init", "--origin", Listening(8443).origin, "--dir", str(folder), "--listen", "127.0.0.1:8443"]
    finish([installed("certline"), *words]).well()
    return folder


class BedMaker(Protocol):
    def __call__(
        self, *, dns_server: str | None = None, **pebble_config: Unpack[PebbleConfig]
    ) -> AbstractContextManager[Bed]: ...


@pytest.fixture
def bed_with(initialised: Path) -> BedMaker:
    """Makes a bed whose CA asks another DNS, or is configured otherwise."""
    require("pebble")

    def make(*, dns_server: str | None = None, **pebble_config: Unpack[PebbleConfig]) -> AbstractContextManager[Bed]:
        return bed(dns_server=dns_server, template=initialised, **pebble_config)

    return make


@pytest.fixture
def here(bed_with: BedMaker) -> Iterator[Bed]:
    """A CA that asks the test's master for names, and room for masters and hosts."""
    with bed_with() as made:
        yield made
