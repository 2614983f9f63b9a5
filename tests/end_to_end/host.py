"""A host with a follower: its settings, its enrolment, `sync` and the daemon, here or in a network namespace."""

import json
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.end_to_end.commands import Finished, finish, installed, under_test
from tests.testbed.program import Program, TestbedError

CHANGED, NOTHING, USAGE, REFUSED, FAILED, AWAY, BUSY = 10, 0, 2, 3, 4, 5, 6
"""Exit codes of `certline-follower sync`."""

Kind = Literal["key", "cert", "chain", "fullchain", "combined"]


@dataclass(frozen=True, slots=True)
class HostLine:
    """A line in the host's file; no names: the operator's.

    `outputs` (links) and `copies`: kind → file name in the host's folder `tls`.
    """

    name: str
    names: tuple[str, ...] | None = None
    services: tuple[str, ...] = ()
    outputs: dict[Kind, str] = field(default_factory=lambda: {"fullchain": "fullchain.pem", "key": "key.pem"})
    copies: dict[Kind, str] = field(default_factory=dict)
    key_type: str = "ecdsa-p256"


@dataclass(frozen=True, slots=True)
class HostService:
    """Its commands, as argument vectors."""

    name: str
    reload: Sequence[str]
    check: Sequence[str] = ()
    probes: Sequence[str] = ()  # addresses with their ports, to be looked at for one second


class FollowerHost:
    """One host in `folder`; `prefix` is put before each command (a namespace's)."""

    def __init__(self, folder: Path, *, prefix: Sequence[str] = (), release: Sequence[str] = ()) -> None:
        self.folder = folder
        self.release = list(release)
        self.config_file = folder / "certline-follower.toml"
        self.state_dir = folder / "state"
        self.tls = folder / "tls"
        self.log_file = folder / "follower.log"
        self._prefix = list(prefix)
        self._daemon: Program | None = None
        self.tls.mkdir(parents=True, exist_ok=True)
        self.configure()

    def configure(
        self, *lines: HostLine, services: Iterable[HostService] = (), top: str = "", master: str = ""
    ) -> None:
        """Write the settings file anew; `top` and `master` are further lines of their tables."""
        parts = [f'state_dir = "{self.state_dir}"', top, "[master]", master]
        parts += [text for line in lines for text in self._line(line)]
        for service in services:
            parts += [f"[services.{service.name}]", f"reload = {json.dumps(list(service.reload))}"]
            parts += [f"check = {json.dumps(list(service.check))}"] if service.check else []
            parts += ["probe_seconds = 1"] if service.probes else []
            parts += [f'[[services.{service.name}.probe]]\nconnect = "{connect}"' for connect in service.probes]
        self.config_file.write_text("\n".join(part for part in parts if part) + "\n")

    def _line(self, line: HostLine) -> list[str]:
        parts = ["[[line]]", f'name = "{line.name}"', f'key_type = "{line.key_type}"']
        parts += [f"names = {json.dumps(line.names, ensure_ascii=False)}"] if line.names is not None else []
        parts += [f"services = {json.dumps(line.services)}"] if line.services else []
        for placed, outputs in (("link", line.outputs), ("copy", line.copies)):
            for kind, name in outputs.items():
                parts += ["[[line.output]]", f'kind = "{kind}"', f'path = "{self.tls / name}"', f'as = "{placed}"']
        return parts

    # --- its commands ---

    def command(
        self, *words: str | Path, given: str | None = None, failpoint: str | None = None, within: float = 60
    ) -> Finished:
        """`certline-follower --config FILE WORDS`."""
        return finish(self.words(*words), given=given, env=under_test(failpoint), cwd=self.folder, within=within)

    def words(self, *words: str | Path) -> list[str]:
        program = installed("certline-follower")
        return [
            *self._prefix,
            *self.release,
            str(program),
            "--config",
            str(self.config_file),
            *(str(word) for word in words),
        ]

    def enrol(self, enrolment: str, *, failpoint: str | None = None) -> Finished:
        """By standard input."""
        return self.command("enroll", given=enrolment, failpoint=failpoint)

    def enrol_by_file(self, enrolment: str) -> Finished:
        file = self.folder / "enrolment.txt"
        file.touch(mode=0o600)
        file.write_text(f"{enrolment}\n")
        return self.command("enroll", "--token-file", file)

    def sync(self, *words: str, failpoint: str | None = None) -> Finished:
        return self.command("sync", *words, failpoint=failpoint)

    # --- the daemon ---

    def start(self, *, failpoint: str | None = None, before: Sequence[str] = ()) -> None:
        """`certline-follower run`, in the background; `before` is put in front of the command (strace)."""
        words = [*before, *self.words("run")]
        self._daemon = Program(words, log=self.log_file, env=under_test(failpoint), cwd=self.folder)
        self._daemon.start()

    def stop(self) -> None:
        if self._daemon:
            self._daemon.stop()

    def kill9(self) -> None:
        self._running.kill9()

    def dies_at_its_failpoint(self, *, within: float = 20) -> None:
        """Wait until the daemon has killed itself there."""
        try:
            code = self._running.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the follower did not reach its failpoint:\n{self._running.tail()}") from None
        assert code == -signal.SIGKILL, f"the follower ended with {code}:\n{self._running.tail()}"

    @property
    def is_running(self) -> bool:
        return self._daemon is not None and self._daemon.is_running

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> Program:
        if self._daemon is None:
            raise TestbedError("the follower was not started")
        return self._daemon

    # --- what it holds ---

    def output(self, name: str) -> bytes | None:
        """The content of a file in its folder `tls`; None while there is none."""
        try:
            return (self.tls / name).read_bytes()
        except FileNotFoundError:
            return None
