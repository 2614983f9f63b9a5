"""The parts put together: a Pebble that asks the master's responder, the master, and hosts enrolled with it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

from tests.end_to_end.host import AWAY, NOTHING, FollowerHost
from tests.end_to_end.master import Listening, MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.fault_proxy import FaultProxy, in_front_of
from tests.testbed.pebble import Pebble, PebbleConfig, pebble
from tests.testbed.ports import free_port

ZONE = "example.test"
ISSUER = "pebble"

Fleet = dict[str, Any]


@dataclass(slots=True)
class Bed:
    """A CA and the masters and hosts that a test makes beside it; all end with the bed."""

    folder: Path
    ca: Pebble
    dns_port: int | None  # where a master's responder listens, if that is the DNS of the CA
    parts: ExitStack
    template: Path | None = None  # what `init` made, once for many tests

    def master(
        self,
        *,
        database: str | None = None,
        fresh: bool = False,
        with_follower: bool = False,
        release: Sequence[str] = (),
        **listening: Any,
    ) -> MasterProcess:
        """A master, not started; `fresh`: by an `init` of its own. `release`: see testbed.releases.prefix_for."""
        chosen: dict[str, Any] = {"port": free_port(), "responder_port": self.dns_port, **listening}
        made = MasterProcess(self.folder / "master", Listening(**chosen), database=database, release=release)
        if self.template is None or database or fresh or with_follower or release:
            made.init(*(["--with-follower"] if with_follower else []))
        else:
            made.adopt(self.template)
        self.parts.callback(made.stop)
        return made

    def serving(self, grants: Mapping[str, Sequence[str]], **more: Any) -> MasterProcess:
        """A master that serves, with a fleet of followers and the names that each may ask for."""
        made = self.master()
        made.start()
        made.set_fleet(fleet(self.ca, grants, **more))
        return made

    def host(self, name: str, *, prefix: Sequence[str] = (), release: Sequence[str] = ()) -> FollowerHost:
        """A host without an identity yet."""
        made = FollowerHost(self.folder / name, prefix=prefix, release=release)
        self.parts.callback(made.stop)
        return made

    def enrolled(
        self, master: MasterProcess, name: str, *, prefix: Sequence[str] = (), release: Sequence[str] = ()
    ) -> FollowerHost:
        """A host that is a follower of the running master, by this name in the fleet."""
        made = self.host(name, prefix=prefix, release=release)
        enrolment = master.token(name)
        # The master takes one enrolment a second from one address.
        eventually(lambda: made.enrol(enrolment).well(NOTHING, AWAY).code == NOTHING, 10, f"{name} is enrolled")
        return made


@contextmanager
def bed(
    *, dns_server: str | None = None, template: Path | None = None, **pebble_config: Unpack[PebbleConfig]
) -> Iterator[Bed]:
    """A calm Pebble in a folder of its own. It asks `dns_server`, else the responder of the test's master."""
    port = None if dns_server else free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="certline-e2e-")))
        ca = stack.enter_context(pebble("calm", dns_server=dns_server or f"127.0.0.1:{port}", **pebble_config))
        yield Bed(folder, ca, port, stack.enter_context(ExitStack()), template)


@contextmanager
def watched(ca: Pebble) -> Iterator[FaultProxy]:
    """A proxy in front of the CA that keeps a record of all requests."""
    with in_front_of(ca) as proxy:
        yield proxy


def fleet(
    ca: Pebble | FaultProxy,
    grants: Mapping[str, Sequence[str]],
    *,
    zones: Mapping[str, Any] | None = None,
    **more: Any,
) -> Fleet:
    """A fleet file's content: one issuer, the zone at the responder, followers with the names they may ask for."""
    issuer = {"directory": ca.directory_url, "ca_file": str(ca.ca_file), "default": True}
    return {
        "issuers": {ISSUER: issuer},
        "zones": zones if zones is not None else {ZONE: responder_zone()},
        "followers": {name: {"grants": {"request": list(names)}} for name, names in grants.items()},
        **more,
    }


def responder_zone() -> Fleet:
    """The zone answered by the master itself; every name in it is on loopback, where the CA connects for http-01."""
    return {"solver": "responder", "address": "127.0.0.1", "wildcard_address": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Requests:
    """What the CA was asked, by a proxy's record."""

    proxy: FaultProxy

    @property
    def orders(self) -> int:
        """Orders that the CA made."""
        return self._done("order-plz")

    @property
    def certificates(self) -> int:
        """Requests for a certificate that the CA took."""
        return self._done("finalize-order")

    @property
    def answers(self) -> int:
        """Challenges that the CA was told to look at."""
        return self._done("chalZ")

    def _done(self, path: str) -> int:
        taken = [one for one in self.proxy.exchanges if path in one.path and one.method == "POST"]
        return sum(1 for one in taken if one.status is not None and one.status < 300)
