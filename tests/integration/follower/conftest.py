"""A fake master and an enrolled host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed


@pytest.fixture
def master(tmp_path: Path) -> Iterator[FakeMaster]:
    with FakeMaster(tmp_path).running() as running:
        running.grant("shop.example.org", "mail.example.org")
        yield running


@pytest.fixture
def fresh_bed(tmp_path: Path, master: FakeMaster) -> Iterator[Bed]:
    """A host with one line that was not enrolled yet."""
    folder = tmp_path / "host"
    folder.mkdir()
    made = Bed(folder, master)
    made.configure(made.line("shop", "shop.example.org"))
    yield made
    made.close()


@pytest.fixture
def bed(fresh_bed: Bed) -> Bed:
    fresh_bed.enrol()
    return fresh_bed
