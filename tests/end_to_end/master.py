"""A master as a process: made by `certline init`, run by `certline serve`, asked by its API and its commands."""

import json
import shutil
import signal
import sqlite3
import ssl
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certline_master.cli import fleet_file
from tests.end_to_end.commands import Finished, finish, installed, under_test
from tests.end_to_end.waiting import eventually
from tests.testbed.program import Program, TestbedError

LOOPBACK = "127.0.0.1"
CA_IS_HERE = '\n[outbound]\nprivate = ["localhost"]\n'


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a master listens, and whom it asks."""

    port: int
    address: str = LOOPBACK
    responder_port: int | None = None
    http_port: int | None = None
    nameservers: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return f"https://{self.address}:{self.port}"


class MasterProcess:
    """One master in `folder`. `init` makes it, `start` and `stop` may be called again and again."""

    def __init__(
        self, folder: Path, listening: Listening, *, database: str | None = None, release: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.release = list(release)
        self.listening = listening
        self.config_file = folder / "certline.toml"
        self.log_file = folder / "serve.log"
        self._database = database
        self._program: Program | None = None

    @property
    def origin(self) -> str:
        return self.listening.origin

    # --- its life ---

    def init(self, *more: str) -> Finished:
        """`certline init`, then the settings that a test needs."""
        listen = f"{self.listening.address}:{self.listening.port}"
        words = ["init", "--origin", self.origin, "--dir", str(self.folder), "--listen", listen, *more]
        words += ["--database", self._database] if self._database else []
        done = finish([*self.release, installed("certline"), *words]).well()
        self._settle()
        return done

    def adopt(self, template: Path) -> None:
        """Become a copy of what `init` made elsewhere, under an origin of our own."""
        shutil.copytree(template, self.folder)
        former = _origin_in(self.config_file)
        for file in (self.config_file, self.folder / "admin.toml"):
            text = file.read_text()
            for old, new in ((former, self.origin), (former.removeprefix("https://"), self.origin[len("https://") :])):
                text = text.replace(f'"{old}"', f'"{new}"')
            file.write_text(text)
        self._settle()

    def _settle(self) -> None:
        """The settings that a test needs; and the local profile, which asks at 127.0.0.1, where we may not listen."""
        with self.config_file.open("a") as file:
            file.write(self._more_settings())
            file.write("" if self._is_first_release else CA_IS_HERE)  # 0.1.0 knows no such setting
        profile = self.folder / "admin.toml"
        lines = [line for line in profile.read_text().splitlines() if not line.startswith("url")]
        profile.write_text("\n".join([f'url = "{self.origin}"', *lines, ""]))

    @property
    def _is_first_release(self) -> bool:
        return any("certline-0.1.0" in word for word in self.release)

    def _more_settings(self) -> str:
        here, lines = self.listening, ['\n[logging]\nlevel = "debug"\nformat = "json"']
        if here.responder_port:
            lines.append(f'[responder]\nlisten = "{LOOPBACK}:{here.responder_port}"')
        if here.http_port:
            lines.append(f'[http01]\nlisten = "{LOOPBACK}:{here.http_port}"')
        if here.nameservers:
            lines.append(f"[dns]\nnameservers = {json.dumps(here.nameservers)}")
        return "\n".join([*lines, ""])

    def start(self, *, failpoint: str | None = None, prefix: Sequence[str] = ()) -> None:
        """`certline serve`, until it is ready."""
        self.begin(failpoint=failpoint, prefix=prefix)
        self._running.wait_until(self.is_ready)

    def begin(self, *, failpoint: str | None = None, prefix: Sequence[str] = ()) -> None:
        """`certline serve`, not waited for: it may be meant to die before it is ready."""
        words = [*prefix, *self.words("serve")]
        self._program = Program(words, log=self.log_file, env=under_test(failpoint), cwd=self.folder)
        self._program.start()

    def stop(self) -> None:
        if self._program:
            self._program.stop()

    def kill9(self) -> None:
        self._running.kill9()

    def upgrade(self) -> None:
        """From a former release to the present one, as its CHANGELOG tells who has a CA of their own."""
        self.stop()
        with self.config_file.open("a") as file:
            file.write(CA_IS_HERE if self._is_first_release else "")
        self.release = []
        self.command("migrate").well()
        self.start()

    def restart(self, *, failpoint: str | None = None) -> None:
        self.stop()
        self.start(failpoint=failpoint)

    def dies_at_its_failpoint(self, *, within: float = 20) -> None:
        """Wait until it has killed itself there."""
        try:
            code = self._running.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the master did not reach its failpoint:\n{self._running.tail()}") from None
        assert code == -signal.SIGKILL, f"the master ended with {code}:\n{self._running.tail()}"

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> Program:
        if self._program is None:
            raise TestbedError("the master was not started")
        return self._program

    def is_ready(self) -> bool:
        try:
            self._fetch("GET", "/readyz")
        except OSError:
            return False
        return True

    # --- what people do ---

    def command(self, *words: str | Path, given: str | None = None) -> Finished:
        """`certline WORDS`, as somebody on the master's machine."""
        return finish(self.words(*words), given=given, cwd=self.folder)

    def words(self, *words: str | Path) -> list[str | Path]:
        return [*self.release, installed("certline"), "--config", self.config_file, *words]

    def apply(self, fleet: Mapping[str, Any]) -> Finished:
        """`certline apply -f` of this fleet (JSON is YAML)."""
        file = self.folder / "fleet.yaml"
        file.write_text(json.dumps(fleet, indent=2))
        return self.command("apply", "-f", file)

    def set_fleet(self, fleet: Mapping[str, Any]) -> None:
        """The same by the API, for tests that are about something else."""
        file = self.folder / "fleet.yaml"
        file.write_text(json.dumps(fleet, indent=2))
        desired = fleet_file.read(file).desired
        planned = self.post("/v1/fleet/plan", {"desired": desired})
        self.post("/v1/fleet/apply", {"desired": desired, "hash": planned["hash"]})

    def token(self, follower: str) -> str:
        """A fresh enrolment string for a follower that is in the fleet, by the API."""
        made: str = self.post(f"/v1/followers/{follower}/token", {})["enrolment"]
        return made

    # --- its API ---

    def get(self, path: str) -> Any:
        """The answer's JSON. Raises urllib.error.HTTPError, OSError."""
        return _json(self._fetch("GET", path))

    def post(self, path: str, body: Any) -> Any:
        return _json(self._fetch("POST", path, json.dumps(body).encode()))

    def _fetch(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._admin_token()}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.origin}{path}", data=body, method=method, headers=headers)  # noqa: S310 an URL of ours
        context = ssl.create_default_context(cafile=self.folder / "tls" / "ca.pem")
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310 an URL of ours
            content: bytes = answer.read()
        return content

    def _admin_token(self) -> str:
        line = next(line for line in (self.folder / "admin.toml").read_text().splitlines() if line.startswith("token"))
        return line.partition("=")[2].strip().strip('"')

    def line(self, name: str) -> dict[str, Any] | None:
        """A line with its versions, orders and deployments; None while there is none."""
        try:
            found: dict[str, Any] = self.get(f"/v1/lines/{name}")
        except urllib.error.HTTPError as refusal:
            if refusal.code != 404:
                raise
            return None
        return found

    def events(self, kind: str, subject: str | None = None) -> list[dict[str, Any]]:
        """The events of a kind, oldest first."""
        asked = f"/v1/events?limit=1000&newest_first=false{f'&subject={subject}' if subject else ''}"
        return [event for event in self.get(asked) if event["kind"] == kind]

    def live_serial(self, line: str) -> str | None:
        """The serial of the line's live certificate (lower-case hex); None while there is none."""
        found = self.line(line) or {"versions": []}
        live = [version for version in found["versions"] if version["state"] == "live"]
        return str(live[0]["certificates"][0]["serial"]) if live else None

    def issued(self, line: str, *, within: float = 20, after: str | None = None) -> str:
        """Wait until the line has a live certificate other than `after`; its serial."""

        def new() -> str | None:
            serial = self.live_serial(line)
            return serial if serial != after else None

        serial = eventually(new, within, f"a new certificate for line {line}; it is: {self.line(line)}")
        assert serial is not None
        return serial

    def renew(self, line: str) -> None:
        """What `certline line issue --force` asks for."""
        self.post(f"/v1/lines/{line}/issue", {"force": True})

    # --- what it left behind ---

    def log_records(self) -> list[dict[str, Any]]:
        return records_in(self.log_file)

    def standing_challenges(self) -> list[tuple[str, str]]:
        """(record, state) of every answer in the ledger that was not taken away (SQLite)."""
        path = self.folder / "data" / "certline.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT record, state FROM challenges WHERE state <> 'removed'")
            return [(str(record), str(state)) for record, state in found]


def records_in(log_file: Path) -> list[dict[str, Any]]:
    """A log, one record a line; what is no record (a traceback, a library's print) comes as `event`."""
    text = log_file.read_text(errors="replace") if log_file.exists() else ""
    return [_record(line) for line in text.splitlines()]


def _record(line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": line}
    return found


def _origin_in(config_file: Path) -> str:
    settings: dict[str, Any] = tomllib.loads(config_file.read_text())
    return str(settings["api"]["origins"][0])


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None
