"""A host for the follower's tests: a real settings file and folder, a fake master, services that write down calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import md5
from pathlib import Path

import pytest

from certline_follower import enrolment as enrolling
from certline_follower import opening, settings
from certline_follower.host import Host, Master
from certline_follower.master_client import AGENT, Credentials, MasterClient
from certline_follower.recovering import recover
from certline_follower.turn import Outcome, turn
from certline_shared import enrolment
from certline_shared.chance import SystemChance
from certline_shared.clock import Clock, SystemClock
from certline_shared.failpoints import watched
from tests.fakes.master import FakeMaster, Reply


class _Killed(BaseException):
    """SIGKILL: nothing of ours may catch it."""


@contextmanager
def killed_at(place: str) -> Iterator[None]:
    """What is done inside ends without any clean-up at this failpoint, and must reach it."""

    def reached(name: str) -> None:
        if name == place:
            raise _Killed

    with pytest.raises(_Killed), watched(reached):
        yield


class MovableClock(SystemClock):
    """The machine's clock, `ahead` of itself: wrong, or later."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Bed:
    """One host in a folder. Its services append to `calls`; a file `fail-NAME-STEP` makes that step fail."""

    folder: Path
    master: FakeMaster
    clock: Clock = field(default_factory=SystemClock)
    clients: list[Master] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "certline-follower.toml"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def configure(
        self, *lines: str, services: Sequence[str] = ("web",), more: str = "", on_failure: str = "rollback"
    ) -> None:
        """Write the settings; a line is a table body, see `line`."""
        tables = [f'state_dir = "state"\n[master]\npoll = 60\n{more}', *lines]
        tables += [self._service(name, on_failure) for name in services]
        self.file.write_text("\n".join(tables))

    def _service(self, name: str, on_failure: str) -> str:
        script = self.folder / f"{name}.sh"
        script.write_text(
            '#!/bin/sh\necho "$1 $2 $(cat "$3"/*.pem 2>/dev/null | md5sum | cut -c1-8)" >> "$3/calls"\n'
            'test ! -e "$3/fail-$2-$1" || exit 1\n'
            'test ! -e "$3/next-$2-$1" || mv "$3/next-$2-$1" "$3/fail-$2-$1"\n'
        )
        script.chmod(0o755)
        words = {step: f'["{script}", "{step}", "{name}", "{self.folder}"]' for step in ("check", "reload")}
        return (
            f"[services.{name}]\ncheck = {words['check']}\nreload = {words['reload']}\n"
            f'on_failure = "{on_failure}"\ntimeout = 20\n'
        )

    def line(
        self,
        name: str,
        *names: str,
        services: Sequence[str] = ("web",),
        output: str | None = None,
        key_type: str = "ecdsa-p256",
    ) -> str:
        """A line's table, with one combined output at NAME.pem."""
        wish = f"names = [{', '.join(map(repr, names))}]\n" if names else ""
        used = ", ".join(f'"{service}"' for service in services)
        path = output or str(self.folder / f"{name}.pem")
        return (
            f'[[line]]\nname = "{name}"\n{wish}services = [{used}]\nkey_type = "{key_type}"\n'
            f'[[line.output]]\nkind = "combined"\npath = "{path}"\n'
        )

    def enrol(self, token: str | None = None, *, replace: bool = False) -> None:
        text = enrolment.from_text(token or self.master.token())
        loaded = settings.load(self.file)
        context = opening.tls(text.trust, text.tls_pins, loaded.trust_ca_file)

        def connect(keyid: str, key: bytes) -> MasterClient:
            credentials = Credentials(keyid, key, ())
            client = MasterClient(text.origin, context, credentials, clock=self.clock, chance=SystemChance())
            self.clients.append(client)
            return client

        loaded.state_dir.mkdir(exist_ok=True)
        enrolling.enrol(
            text,
            loaded.state_dir,
            connect=connect,
            clock=self.clock,
            chance=SystemChance(),
            agent=AGENT,
            replace=replace,
        )

    def host(self, *, read_only: bool = False) -> Host:
        """A freshly started follower, recovered."""
        host = opening.open_host(settings.load(self.file), self.clock, SystemChance(), read_only=read_only)
        self.clients.append(host.client)
        recover(host)
        return host

    def close(self) -> None:
        """Give all connections back."""
        for client in self.clients:
            client.close()

    def turn(self, host: Host | None = None) -> Outcome:
        """One turn of that host, or of one that was just started."""
        return turn(host or self.host())

    def settle(self, host: Host | None = None) -> Outcome:
        """Turns until one does nothing; the last one that did something, or failed."""
        host = host or self.host()
        last = turn(host)
        for _ in range(5):
            again = turn(host)
            if not again.done:
                return last
            last = again
        raise AssertionError("the follower does not come to rest")

    @property
    def calls(self) -> list[str]:
        """What services were asked: `reload web CONTENT`, oldest first."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def reloads(self, service: str = "web") -> int:
        return sum(call.startswith(f"reload {service} ") for call in self.calls)

    def fail(self, service: str, step: str) -> Path:
        """Make the step fail until the returned file is removed."""
        file = self.folder / f"fail-{service}-{step}"
        file.touch()
        return file

    def fail_after_next_install(self, service: str, step: str) -> Path:
        """Make the step fail from its second call on: well before the swap, broken after it."""
        (self.folder / f"next-{service}-{step}").touch()
        return self.folder / f"fail-{service}-{step}"

    def master_goes_away(self) -> None:
        """Every answer from now on is a 503."""
        self.master.ready_replies += [Reply(503)] * 1_000

    def content(self) -> str:
        """What a service would write down now of all outputs."""
        data = b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.pem")))
        return md5(data, usedforsecurity=False).hexdigest()[:8]

    def shown(self, line: str) -> str:
        """The content of the line's output."""
        return (self.folder / f"{line}.pem").read_text()
