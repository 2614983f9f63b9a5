"""Pebble, the test CA: a calm profile for most tests, a rough one for the retries."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypedDict, Unpack

from tests.testbed.authority import Authority
from tests.testbed.pebble_binary import find_pebble
from tests.testbed.ports import free_ports
from tests.testbed.program import Program, by_hand, running

Mood = Literal["calm", "rough"]

MOODS: Mapping[Mood, Mapping[str, str]] = {
    "calm": {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"},
    "rough": {"PEBBLE_VA_SLEEPTIME": "5", "PEBBLE_WFE_NONCEREJECT": "25", "PEBBLE_AUTHZREUSE": "50"},
}
RETRY_AFTER: Mapping[Mood, tuple[int, int]] = {"calm": (0, 0), "rough": (3, 5)}

PROFILES: Mapping[str, int] = {"classic": 90 * 86_400, "tlsserver": 45 * 86_400, "shortlived": 160 * 3_600}
"""Name of a profile → lifetime in seconds, as Let's Encrypt has them."""


class PebbleConfig(TypedDict, total=False):
    """What a test may set: profiles (name → seconds), eab_keys (kid → base64url key; account binding is then
    required), retry_after (authorization, order; seconds, 0 = none), blocklist (domains), the ports its
    validation connects to, and the algorithm of its CA keys."""

    profiles: Mapping[str, int]
    eab_keys: Mapping[str, str]
    retry_after: tuple[int, int]
    blocklist: Sequence[str]
    http_port: int
    tls_port: int
    key_algorithm: Literal["rsa", "ecdsa"]


class Pebble:
    """A running Pebble; all its URLs are on localhost, trusted by `ca_file`."""

    def __init__(self, program: Program, authority: Authority, config_file: Path, config: dict[str, Any]) -> None:
        self.process = program
        self.authority = authority
        self.ca_file = authority.ca_file
        self._config_file = config_file
        self._config = config

    @property
    def port(self) -> int:
        return int(self._config["listenAddress"].rpartition(":")[2])

    @property
    def http_port(self) -> int:
        """Port on which http-01 is validated."""
        return int(self._config["httpPort"])

    @property
    def tls_port(self) -> int:
        """Port on which tls-alpn-01 is validated."""
        return int(self._config["tlsPort"])

    @property
    def directory_url(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def management_url(self) -> str:
        return f"https://localhost:{self._config['managementListenAddress'].rpartition(':')[2]}"

    def directory(self, *, seconds: float = 5) -> dict[str, Any]:
        """The ACME directory, parsed."""
        found: dict[str, Any] = json.loads(self._fetch(self.directory_url, seconds=seconds))
        return found

    def roots(self) -> str:
        """The root certificate of the issued certificates, PEM (a new one after each start)."""
        return self._fetch(f"{self.management_url}/roots/0").decode()

    def set_renewal_info(self, certificate_pem: str, text: str) -> None:
        """Make renewalInfo answer `text` for this certificate, valid JSON or not."""
        body = {"Certificate": certificate_pem, "ARIResponse": text}
        self._fetch(f"{self.management_url}/set-renewal-info/", json.dumps(body).encode())

    def answers(self) -> bool:
        """Whether both interfaces answer, the management one through the lock of all of Pebble's data.

        With many orders at once Pebble can deadlock on that lock; its directory is still served then.
        """
        try:
            self.directory(seconds=1)
            self._fetch(f"{self.management_url}/cert-status-by-serial/00", seconds=1)
        except urllib.error.HTTPError:
            return True  # no such certificate: it looked
        except (OSError, ValueError):
            return False
        return True

    def is_stuck(self, deadline: float) -> bool:
        """Whether Pebble gives no answer within `deadline` seconds; the cure is `restart`."""
        give_up_at = time.monotonic() + deadline
        while not self.answers():
            if time.monotonic() > give_up_at:
                return True
        return False

    def restart(self, **changes: Unpack[PebbleConfig]) -> None:
        """Start anew on the same ports, with `changes`: accounts, orders and roots are forgotten."""
        self._config.update(_as_pebble_has_it(changes))
        self._config_file.write_text(json.dumps({"pebble": self._config}))
        self.process.kill9()
        self.process.start()
        self.process.wait_until(self.answers)

    def stop(self) -> None:
        """Stop it before its block ends: the CA is out of reach."""
        self.process.stop()

    def _fetch(self, url: str, body: bytes | None = None, *, seconds: float = 5) -> bytes:
        headers = {"User-Agent": "certline-testbed"}
        request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 an URL of ours
        context = self.authority.client_context()
        with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:  # noqa: S310 an URL of ours
            found: bytes = answer.read()
        return found


@contextmanager
def pebble(
    mood: Mood = "calm",
    *,
    dns_server: str | None = None,
    strict: bool = False,
    env: Mapping[str, str] | None = None,
    binary: Path | None = None,
    **config: Unpack[PebbleConfig],
) -> Iterator[Pebble]:
    """A Pebble that asks `dns_server` ("127.0.0.1:PORT", over TCP); `env` and `config` override the mood.

    Raises TestbedError when there is no Pebble or it does not start.
    """
    program_file = binary or find_pebble().pebble
    with TemporaryDirectory(prefix="certline-pebble-") as folder:
        config_file = Path(folder) / "pebble.json"
        authority = Authority(Path(folder))
        settings = _settings(authority, mood, config)
        config_file.write_text(json.dumps({"pebble": settings}))
        command: list[str | Path] = [program_file, "-config", config_file]
        command += ["-strict"] if strict else []
        command += ["-dnsserver", dns_server] if dns_server else []
        program = Program(command, log=Path(folder) / "pebble.log", env={**MOODS[mood], **(env or {})})
        handle = Pebble(program, authority, config_file, settings)
        with running(program, handle.answers):
            yield handle


def offers_ari_and_profiles(binary: Path) -> bool:
    """Start a binary once and look at its directory; TestbedError when it does not start."""
    with pebble(binary=binary, key_algorithm="ecdsa") as started:
        directory = started.directory()
    return "renewalInfo" in directory and bool(directory.get("meta", {}).get("profiles"))


def _settings(authority: Authority, mood: Mood, config: PebbleConfig) -> dict[str, Any]:
    own = authority.issue("pebble")
    api, management, http, tls = free_ports(4)
    defaults: PebbleConfig = {
        "profiles": PROFILES,
        "retry_after": RETRY_AFTER[mood],
        "http_port": http,
        "tls_port": tls,
        "key_algorithm": "ecdsa",
    }
    return {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(own.chain_file),
        "privateKey": str(own.key_file),
        "ocspResponderURL": "",
        **_as_pebble_has_it({**defaults, **config}),
    }


_NAMES: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "profiles": lambda profiles: {
        "profiles": {name: {"description": name, "validityPeriod": seconds} for name, seconds in profiles.items()}
    },
    "eab_keys": lambda keys: {"externalAccountBindingRequired": bool(keys), "externalAccountMACKeys": dict(keys)},
    "retry_after": lambda pair: {"retryAfter": {"authz": pair[0], "order": pair[1]}},
    "blocklist": lambda domains: {"domainBlocklist": list(domains)},
    "http_port": lambda port: {"httpPort": port},
    "tls_port": lambda port: {"tlsPort": port},
    "key_algorithm": lambda name: {"keyAlgorithm": name},
}


def _as_pebble_has_it(config: PebbleConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        found.update(_NAMES[name](value))
    return found


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    """A calm Pebble with its DNS."""
    from tests.testbed.challtestsrv import challtestsrv

    with challtestsrv() as dns, pebble(dns_server=dns.dns_address) as ca:
        yield [
            f"directory   {ca.directory_url}",
            f"CA file     {ca.ca_file}",
            f"management  {ca.management_url}",
            f"DNS         {dns.dns_address}, records by {dns.management_url}/set-txt",
            f"validates   http-01 on port {ca.http_port}, tls-alpn-01 on port {ca.tls_port}",
        ]


if __name__ == "__main__":
    by_hand(_for_a_person)
