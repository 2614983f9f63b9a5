"""The sections of `certline.toml`, and what their values may be."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from certline_master.domain.alarms import Alarms
from certline_master.domain.commands import SEVERAL, SINGLE, Command
from certline_master.domain.durations import seconds_of
from certline_master.domain.outbound import Outbound, place_of
from certline_shared import placeholders
from certline_shared.names import check_object_name
from certline_shared.running import Surroundings


def address(text: str) -> str:
    """An address to listen at, as it is. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535 or not host:
        raise ValueError(f"{text!r} is not HOST:PORT; write for example 127.0.0.1:8443 or [::]:8443")
    return text


def on_loopback(listen: str) -> bool:
    """Whether only this machine reaches that address."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(text: str) -> str:
    """An origin in its normal form: `https://name:port`, lower case, the default port left out. Raises ValueError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # a malformed address or port
        host, port, parts = None, None, urlsplit("")
    if parts.scheme != "https" or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"{text!r} is not an origin; write https://NAME-OR-IP:PORT")
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"


def _some(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not origins:
        raise ValueError("is empty; write the URL under which followers reach this master: https://NAME-OR-IP:PORT")
    return origins


Address = Annotated[str, AfterValidator(address)]
Origin = Annotated[str, AfterValidator(origin)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Store(_Section):
    url: str = "sqlite:///data/certline.sqlite"


class Secrets(_Section):
    kek: str | None = Field(default=None, description="file:PATH, env:NAME, credential:NAME or exec:PROGRAM")
    kek_command: tuple[str, ...] | None = Field(default=None, description="argument vector for kek = exec:")


class ApiLimits(_Section):
    """How many a minute, after a burst; 0 for no limit."""

    follower_per_minute: float = Field(default=240, ge=0)
    caller_per_minute: float = Field(default=1200, ge=0)
    failures_per_minute: float = Field(default=60, ge=0)
    records_per_minute: float = Field(default=30, ge=0)


class Api(_Section):
    listen: Address = "0.0.0.0:8443"  # followers come from other hosts
    origins: Annotated[tuple[Origin, ...], AfterValidator(_some)]
    tls: Literal["own", "files", "off"] = "own"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trust: Literal["pin", "chain"] = "pin"
    long_polls: int = Field(default=2000, ge=0)
    connections: int = Field(default=16_384, ge=64)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    limits: ApiLimits = ApiLimits()

    @model_validator(mode="after")
    def _plain_http_is_behind_a_proxy(self) -> Self:
        if self.tls == "off" and self.trust == "pin":
            raise ValueError(
                'tls = "off" is for a proxy that ends TLS, whose certificate followers check: write trust = "chain" too'
            )
        if self.tls == "off" and not (self.trusted_proxies or on_loopback(self.listen)):
            raise ValueError(
                f'tls = "off" would let anybody read along at {self.listen}: listen on 127.0.0.1, or name in '
                "trusted_proxies who alone may connect"
            )
        return self


class Http01(_Section):
    listen: Address | None = None


class Responder(_Section):
    listen: Address | None = None


class Dns(_Section):
    nameservers: tuple[Address, ...] = ()


def _places(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(place_of(text) for text in texts)


class Outgoing(_Section):
    """`private`: hosts and networks off the public Internet where CAs may be."""

    private: Annotated[tuple[str, ...], AfterValidator(_places)] = ()

    def policy(self) -> Outbound:
        """As the master's parts take it."""
        return Outbound.of(self.private)


class Workers(_Section):
    threads: int = Field(default=16, ge=1, le=200)
    orders_at_once: int = Field(default=50, ge=1, le=10_000)


def duration(text: str) -> str:
    """A length of time, as it is. Raises ValueError."""
    if not 60 <= seconds_of(text) <= MOST_DAYS * 86_400:
        raise ValueError(f"{text!r} is less than a minute or more than {MOST_DAYS} days")
    return text


MOST_DAYS = 3650


class AlarmLimits(_Section):
    deployed_within: Annotated[str, AfterValidator(duration)] = "75m"
    survival_days: float | None = Field(default=None, gt=0, le=MOST_DAYS)

    def limits(self) -> Alarms:
        """As the master's parts take them."""
        days = self.survival_days
        within = timedelta(seconds=seconds_of(self.deployed_within))
        return Alarms(within, None if days is None else timedelta(days=days))


class Logging(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "plain"] = "auto"


def _audit_target(text: str) -> str:
    """A local socket's path, or udp://HOST:PORT, tcp://HOST:PORT. Raises ValueError."""
    try:
        parts = urlsplit(text)
        remote = parts.scheme in ("udp", "tcp") and parts.hostname and parts.port != 0 and not parts.path
    except ValueError:
        remote = False
    if not (text.startswith("/") or remote):
        raise ValueError(f"{text!r} is no syslog: write /dev/log, udp://HOST:PORT or tcp://HOST:PORT")
    return text


class Audit(_Section):
    file: Path | None = None
    syslog: Annotated[str, AfterValidator(_audit_target)] | None = None
    seal_seconds: float = Field(default=600, ge=1, le=86_400)


class LocalFollower(_Section):
    config: Path | None = None


def _command_name(name: str) -> str:
    return check_object_name(name, "command")


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError('is empty or has a NUL character; write argv = ["PROGRAM", "ARGUMENT"]')
    try:
        placeholders.check(words, single=SINGLE, several=SEVERAL)
    except placeholders.BadPlaceholder as fault:
        raise ValueError(str(fault)) from None
    return words


def _variables(env: dict[str, str]) -> dict[str, str]:
    for name in env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("CERTLINE_"):
            raise ValueError(f"{name!r} cannot be set; write letters, digits and _, and no name that begins CERTLINE_")
    return env


CommandName = Annotated[str, AfterValidator(_command_name)]


class LocalCommand(_Section):
    """A program that the fleet file may name, and nothing else on this machine."""

    argv: Annotated[tuple[str, ...], AfterValidator(_argv)]
    timeout: float = Field(default=60, ge=0.1, le=86_400)
    required: bool = False
    user: str | None = None
    group: str | None = None
    cwd: str = Field(default="/", pattern="^/")
    env: Annotated[dict[str, str], AfterValidator(_variables)] = {}

    def command(self, name: str) -> Command:
        """As the master's parts take it."""
        around = Surroundings(self.user, self.group, self.cwd, tuple(sorted(self.env.items())))
        return Command(name, self.argv, self.timeout, self.required, around)
