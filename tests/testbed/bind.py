"""BIND as the primary server of zones that change by RFC 2136 under TSIG."""

import base64
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype

from tests.testbed import parts
from tests.testbed.ports import free_port
from tests.testbed.program import Program, TestbedError, by_hand, ordinary_user, running

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
REFUSED_KEY = "known-but-not-granted"

_ZONE = """\
$TTL 60
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 1
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
@ IN A 127.0.0.1
* IN A 127.0.0.1
{more}
"""


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A key as RFC 8945 has it; `secret` is base64."""

    name: str
    algorithm: str
    secret: str


class Bind:
    """A running named; `keys` may change all its zones, `refused_key` is known to it and may change none."""

    def __init__(self, process: Program, port: int, keys: Mapping[str, TsigKey]) -> None:
        self.process = process
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.keys = {algorithm: keys[algorithm] for algorithm in ALGORITHMS}
        self.refused_key = keys[REFUSED_KEY]

    def records(self, name: str, kind: str = "TXT") -> list[str]:
        """The values at exactly this name, as in a zone file, sorted; TXT values come without quotes."""
        wanted = dns.name.from_text(name)
        found = dns.query.tcp(dns.message.make_query(wanted, kind), "127.0.0.1", timeout=5, port=self.port)
        wanted_kind = dns.rdatatype.from_text(kind)
        sets = (rrset for rrset in found.answer if rrset.name == wanted and rrset.rdtype == wanted_kind)
        return sorted(rdata.to_text().strip('"') for rrset in sets for rdata in rrset)

    def answers(self) -> bool:
        query = dns.message.make_query("version.bind", "TXT", "CH")
        try:
            dns.query.udp(query, "127.0.0.1", timeout=0.2, port=self.port)
        except (OSError, dns.exception.DNSException):
            return False
        return True

    def stop(self) -> None:
        self.process.stop()

    def restart(self) -> None:
        """Stop and start again; what was updated is kept."""
        self.process.stop()
        self.process.start()
        self.process.wait_until(self.answers)


@contextmanager
def bind(zones: Sequence[str] | Mapping[str, str] = ("example.test",), *, dnssec: bool = False) -> Iterator[Bind]:
    """A named that is the primary of `zones` (a mapping adds lines to each zone's file).

    Every name in a zone is at 127.0.0.1. `dnssec` signs the zones. TestbedError when named is not installed.
    """
    program = parts.program("named")
    if program is None:
        raise TestbedError("named is not installed (apt-get install bind9)")
    extra = zones if isinstance(zones, Mapping) else dict.fromkeys(zones, "")
    user = ordinary_user("bind")
    with TemporaryDirectory(prefix="certline-bind-") as name:
        folder, port, keys = Path(name), free_port(), _new_keys()
        for zone, more in extra.items():
            (folder / f"{zone}.zone").write_text(_ZONE.format(zone=zone, more=more))
        (folder / "named.conf").write_text(_config(folder, port, keys, list(extra), dnssec=dnssec))
        _give(folder, user)
        command: list[str | Path] = [program, "-g", "-c", folder / "named.conf", "-n", "1"]
        process = Program(command, log=folder / "log", user=user, cwd=folder)
        server = Bind(process, port, keys)
        with running(process, server.answers):
            yield server


def _new_keys() -> dict[str, TsigKey]:
    keys = {algorithm: _new_key(f"certline-{algorithm}", algorithm) for algorithm in ALGORITHMS}
    return {**keys, REFUSED_KEY: _new_key(REFUSED_KEY, "hmac-sha256")}


def _new_key(name: str, algorithm: str) -> TsigKey:
    return TsigKey(name, algorithm, base64.b64encode(os.urandom(32)).decode())


def _config(folder: Path, port: int, keys: Mapping[str, TsigKey], zones: Sequence[str], *, dnssec: bool) -> str:
    options = f"""\
options {{
    directory "{folder}";
    pid-file "{folder}/named.pid";
    session-keyfile "{folder}/session.key";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    allow-transfer {{ any; }};
    notify no;
    dnssec-validation no;
    querylog no;
}};
controls {{ }};
"""
    known = [f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n' for key in keys.values()]
    granted = " ".join(f"grant {keys[algorithm].name} zonesub ANY;" for algorithm in ALGORITHMS)
    signed = "dnssec-policy default; inline-signing yes;" if dnssec else ""
    served = [
        f'zone "{zone}" {{ type primary; file "{zone}.zone"; update-policy {{ {granted} }}; {signed} }};\n'
        for zone in zones
    ]
    return "".join([options, *known, *served])


def _give(folder: Path, user: str | None) -> None:
    if user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    with bind() as server:
        keys = [f"{key.algorithm}:{key.name}:{key.secret}" for key in server.keys.values()]
        yield [f"zone example.test on {server.address}, keys for nsupdate -y:", *keys]


if __name__ == "__main__":
    by_hand(_for_a_person)
