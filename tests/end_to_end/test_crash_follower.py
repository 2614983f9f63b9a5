"""The follower is killed (SIGKILL) at every step of a real installation; its next run brings it to the end (B1)."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from certline_follower import carried, enrolment, failpoints, hooks, introducing, joining, line_keys, rotation
from tests.end_to_end import loading
from tests.end_to_end.assertions import assert_installed, assert_pair, same_serial, serial_of
from tests.end_to_end.harness import Bed, bed
from tests.end_to_end.host import AWAY, CHANGED, FAILED, NOTHING, REFUSED, FollowerHost, HostLine, HostService
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.parts import require

WWW = "www.example.test"
LINE = HostLine("www", (WWW,), services=("small",), copies={"combined": "combined.pem"})

ENROLLING = enrolment.FAILPOINTS
FIRST_TIME = ("key.written", "line.asked")
GOING_BACK = ("install.going_back", "install.went_back")
OTHER_WAYS_IN = (*joining.FAILPOINTS, *introducing.FAILPOINTS)  # each is killed in tests of its own
OTHER_WORK = (*rotation.FAILPOINTS, *carried.FAILPOINTS, *line_keys.FAILPOINTS, *hooks.FAILPOINTS)
RENEWING = tuple(
    name
    for name in failpoints.FAILPOINTS
    if name not in {*ENROLLING, *OTHER_WAYS_IN, *OTHER_WORK, *FIRST_TIME, *GOING_BACK}
)


@dataclass(slots=True)
class Stage:
    """A master and one host that can be put back to where it was: enrolled only, or with a certificate."""

    master: MasterProcess
    host: FollowerHost
    snapshots: Path

    def remember(self, name: str) -> None:
        copytree(self.host.folder, self.snapshots / name, symlinks=True)

    def put_back(self, name: str) -> None:
        rmtree(self.host.folder)
        copytree(self.snapshots / name, self.host.folder, symlinks=True)

    @property
    def loaded(self) -> Path:
        """What the service took in at its last reload."""
        return self.host.folder / "loaded.pem"

    @property
    def liked(self) -> Path:
        """Once it is there, the service takes in nothing else."""
        return self.host.folder / "liked.pem"

    def configure(self, line: HostLine = LINE) -> None:
        chain = self.host.tls / "fullchain.pem"
        words = [sys.executable, "-I", loading.__file__, str(chain), str(self.loaded), str(self.liked)]
        self.host.configure(line, services=[HostService("small", words)])

    def renewed(self) -> str:
        """The serial of a new version, which the host does not have yet."""
        former = self.master.live_serial("www@web")
        self.master.renew("www@web")
        return self.master.issued("www@web", after=former)


@pytest.fixture(scope="module")
def stage(initialised: Path) -> Iterator[Stage]:
    require("pebble")
    with bed(template=initialised) as here:
        yield _staged(here)


def _staged(here: Bed) -> Stage:
    master = here.serving({"web": [WWW], **{name: [] for name in ENROLLING}})
    made = Stage(master, here.enrolled(master, "web"), here.folder / "snapshots")
    made.configure()
    made.remember("enrolled")
    made.host.sync().well(CHANGED)
    made.remember("certified")
    return made


@dataclass(slots=True)
class Reader:
    """What a service would see that reads the live generation, or the combined file, in a tight loop."""

    pairs: set[tuple[bytes, bytes]] = field(default_factory=set)
    combined: set[bytes] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def check(self) -> None:
        assert not self.faults
        assert self.pairs
        for chain, key in self.pairs:
            assert_pair(chain, key)
        for both in self.combined:
            assert_pair(both, both)

    def look(self, host: FollowerHost) -> None:
        live = host.state_dir / "live"
        try:
            folder = live.parent / live.readlink()  # resolved once
            self.pairs.add(((folder / "www/fullchain.pem").read_bytes(), (folder / "www/key.pem").read_bytes()))
            self.combined.add((host.tls / "combined.pem").read_bytes())
        except OSError as fault:
            self.faults.append(str(fault))


@contextmanager
def reader(host: FollowerHost) -> Iterator[Reader]:
    made, stopping = Reader(), threading.Event()

    def loop() -> None:
        while not stopping.is_set():
            made.look(host)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield made
    finally:
        stopping.set()
        thread.join()


def assert_ended_well(stage: Stage, serial: str) -> None:
    """Installed everywhere, taken in by the service, reported; and nothing is left to do."""
    assert_installed(stage.host.tls, serial)
    assert same_serial(serial_of((stage.host.tls / "combined.pem").read_bytes()), serial)
    assert same_serial(serial_of(stage.loaded.read_bytes()), serial), "the reload ran, after the last file"
    deployments = (stage.master.line("www@web") or {})["deployments"]
    live = (stage.master.line("www@web") or {})["line"]["version"]
    assert (live, "reloaded") in [(one["version"], one["state"]) for one in deployments]
    stage.host.sync().well(NOTHING)


@pytest.mark.parametrize("failpoint", RENEWING)
def test_a_follower_killed_at_this_step_of_a_renewal_ends_with_the_new_pair_everywhere(
    stage: Stage, failpoint: str
) -> None:
    stage.put_back("certified")
    if failpoint == "install.after_each_backup":
        (stage.host.tls / "chain.pem").write_text("the admin's own")
        stage.configure(HostLine("www", (WWW,), ("small",), copies={"combined": "combined.pem", "chain": "chain.pem"}))
    serial = stage.renewed()
    with reader(stage.host) as seen:
        stage.host.sync(failpoint=failpoint).well(-signal.SIGKILL)
        stage.host.sync().well(CHANGED, NOTHING)
    seen.check()
    assert_ended_well(stage, serial)


@pytest.mark.parametrize("failpoint", FIRST_TIME)
def test_a_follower_killed_at_this_step_of_its_first_wish_ends_with_one_key_and_its_certificate(
    stage: Stage, failpoint: str
) -> None:
    stage.put_back("enrolled")

    stage.host.sync(failpoint=failpoint).well(-signal.SIGKILL)
    stage.host.sync().well(CHANGED)

    assert len(list((stage.host.state_dir / "keys").glob("*/*.pem"))) == 1
    assert_ended_well(stage, stage.master.live_serial("www@web") or "")


@pytest.mark.parametrize("failpoint", GOING_BACK)
def test_a_follower_killed_while_it_goes_back_ends_with_the_former_pair_in_use(stage: Stage, failpoint: str) -> None:
    stage.put_back("enrolled")
    stage.host.sync().well(CHANGED)
    former = stage.master.live_serial("www@web") or ""
    stage.liked.write_bytes(stage.loaded.read_bytes())
    serial = stage.renewed()
    with reader(stage.host) as seen:
        stage.host.sync(failpoint=failpoint).well(-signal.SIGKILL)
        stage.host.sync().well(FAILED)
    seen.check()
    assert serial != former
    assert_installed(stage.host.tls, former)
    assert same_serial(serial_of(stage.loaded.read_bytes()), former)
    failed = eventually(lambda: stage.master.events("deployment.failed"), 5, "the master hears of it")
    assert "does not like its new certificate" in failed[-1]["text"]


@pytest.mark.parametrize("failpoint", ENROLLING)
def test_a_follower_killed_at_this_step_of_its_enrolment_enrols_with_the_same_string(
    stage: Stage, tmp_path: Path, failpoint: str
) -> None:
    host, enrolment_string = FollowerHost(tmp_path / "host"), stage.master.token(failpoint)

    def killed() -> bool:  # the master takes one enrolment a second from one address
        return host.enrol(enrolment_string, failpoint=failpoint).well(-signal.SIGKILL, AWAY).code != AWAY

    def enrolled() -> bool:
        again = host.enrol(enrolment_string).well(NOTHING, REFUSED, AWAY)
        return again.code == NOTHING or "is enrolled already" in again.err

    eventually(killed, 10, "the kill")
    eventually(enrolled, 10, "the same string is good for the same host")
    host.sync().well(NOTHING)
