"""`make demo`: on this machine, a host that asks only its master gets a certificate, serves it, and gets it renewed."""

import argparse
import shlex
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.assertions import same_serial, served_serial
from tests.end_to_end.harness import ZONE, Bed, bed, fleet
from tests.end_to_end.host import FollowerHost, HostLine, HostService
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.story import Colours, Seen, Story, logged, noted
from tests.end_to_end.waiting import eventually
from tests.testbed.ports import free_port
from tests.testbed.program import Program, TestbedError

HOST = "web"
NAME = f"www.{ZONE}"
LINE = f"www@{HOST}"
SERVICE = Path(__file__).with_name("tls_service.py")


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody who plays."""

    bed: Bed
    master: MasterProcess
    host: FollowerHost
    service_port: int
    roots_file: Path

    @property
    def seen(self) -> Seen:
        return Seen(self.master, self.host)


def main() -> int:
    """The exit code: 0 told to the end, 1 it did not come about, 130 interrupted before the end."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself when the story is told")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    story = Story(Colours(sys.stdout.isatty()))
    try:
        with ExitStack() as stack:
            cast = _tell(story, stack)
            if not once:
                _stay(story, cast)
    except KeyboardInterrupt:
        story.line("interrupted; everything was stopped")
        return 130
    except (TestbedError, AssertionError, OSError) as fault:
        story.failed(str(fault))
        return 1
    story.line("demo: ok")
    return 0


def _tell(story: Story, stack: ExitStack) -> Cast:
    story.chapter("Everything starts, on this machine's loopback only")
    here = stack.enter_context(bed())
    story.step(f"Pebble, a test CA, answers at {here.ca.directory_url}")
    master = here.master()
    story.step("certline init: settings, SQLite database, keys, API certificate")
    master.start()
    story.step(f"certline serve: API at {master.origin}, DNS for {ZONE} at 127.0.0.1:{here.dns_port}")
    master.apply(fleet(here.ca, {HOST: [NAME]})).well()
    story.step(f"certline apply: the CA, the zone, and follower {HOST}, which may ask for {NAME}")
    cast = _cast(here, master, stack)
    story.step(f"a small TLS service listens at 127.0.0.1:{cast.service_port}, without a certificate yet")
    story.chapter(f"Host {HOST} gets its first certificate")
    enrolment = master.token(HOST)
    story.begin()
    cast.host.enrol(enrolment).well()
    story.step("enrolled with a one-time token")
    cast.host.start()
    first = _certificate(story, cast, "line.wished", f"asked: line www for {NAME}", after=None)
    story.chapter("The certificate is renewed (certline line issue --force)")
    story.begin()
    master.command("line", "issue", LINE, "--force").well()
    _certificate(story, cast, "line.issue", "asked: by an operator, long before its time", after=first)
    story.total()
    return cast


def _cast(here: Bed, master: MasterProcess, stack: ExitStack) -> Cast:
    """The host, its settings, and the TLS service on it."""
    host, port = here.host(HOST), free_port()
    combined, pid_file, roots_file = host.tls / "www.pem", host.folder / "service.pid", here.folder / "roots.pem"
    python = [sys.executable, "-I", str(SERVICE)]
    service = Program([*python, "serve", str(port), combined, pid_file], log=host.folder / "service.log")
    stack.callback(service.stop)
    service.start()
    service.wait_until(pid_file.exists)
    line = HostLine("www", (NAME,), services=("small",), outputs={"combined": "www.pem"})
    host.configure(line, services=[HostService("small", [*python, "reload", str(pid_file)])])
    roots_file.write_text(here.ca.roots())
    return Cast(here, master, host, port, roots_file)


def _certificate(story: Story, cast: Cast, kind: str, asked: str, *, after: str | None) -> str:
    """From the asking to the handshake; the serial."""
    seen, start = cast.seen, 1 if after is None else 2
    story.follow(asked, lambda: noted(seen, kind))
    story.follow("ordered at the CA", lambda: logged(seen, "order moved", start, state="opened"))
    story.follow(
        f"_acme-challenge.{NAME} answered by the master's DNS",
        lambda: logged(seen, "order moved", start, state="visible"),
    )
    story.follow("validated by dns-01", lambda: logged(seen, "order moved", start, state="ready"))
    serial = cast.master.issued(LINE, after=after)
    story.follow(f"issued: serial {serial}", lambda: logged(seen, "issued", start))
    story.follow("installed by one rename", lambda: logged(seen, "install www", start))
    story.follow("reloaded: the TLS service", lambda: logged(seen, "reload small", start))
    eventually(lambda: _shown(cast, serial), 10, f"a handshake that shows serial {serial}")
    story.step(f"handshake shows serial {serial}")
    return serial


def _shown(cast: Cast, serial: str) -> bool:
    with suppress(OSError):
        return same_serial(served_serial(cast.service_port, NAME, cast.roots_file.read_text()), serial)
    return False


def _stay(story: Story, cast: Cast) -> None:
    """Until Ctrl-C or SIGTERM, which end the demo well."""
    story.chapter("It stays up for a look. Try, in another terminal:")
    for command in _commands(cast):
        story.line(f"  {command}")
    story.line("")
    story.line("Ctrl-C ends it and removes everything.")
    with suppress(KeyboardInterrupt):
        signal.pause()
    story.line("")


def _commands(cast: Cast) -> list[str]:
    certline = shlex.join([str(word) for word in cast.master.words()])
    address = f"127.0.0.1:{cast.service_port}"
    return [
        f"{certline} status",
        f"{certline} line show {LINE}",
        f"{certline} line issue {LINE} --force",
        f"{certline} event list",
        shlex.join(cast.host.words("status")),
        f"openssl s_client -connect {address} -servername {NAME} </dev/null | openssl x509 -noout -serial -dates",
        f"curl --cacert {cast.roots_file} --connect-to ::{address} https://{NAME}/",
        f"curl --cacert {cast.master.folder}/tls/ca.pem {cast.master.origin}/v1/openapi.json",
    ]


if __name__ == "__main__":
    sys.exit(main())
