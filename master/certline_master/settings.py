"""The master's own settings: `certline.toml`, overridden by the environment (`CERTLINE_API__LISTEN=...`)."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from certline_master.domain.alarms import Alarms
from certline_master.domain.durations import seconds_of
from certline_master.domain.outbound import Outbound, place_of

NAME = "certline.toml"
SYSTEM_FOLDER = Path("/etc/certline")


class SettingsError(ValueError):
    """Settings that cannot be used; the text names file, line, field, what was wrong and what to do."""


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


class _Environment(EnvSettingsSource):
    """Without the variables that name a file: their content was read before, as if it stood in the settings."""

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        return {section: _without_files(part) for section, part in found.items()}


def _without_files(part: Any) -> Any:
    return (
        {name: value for name, value in part.items() if not name.endswith("_file")} if isinstance(part, dict) else part
    )


class Settings(BaseSettings):
    """All settings, read once at start. Paths are absolute: relative ones count from the file's folder."""

    model_config = SettingsConfigDict(
        env_prefix="CERTLINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    file: Path = Field(exclude=True)
    api: Api
    store: Store = Store()
    secrets: Secrets = Secrets()
    http01: Http01 = Http01()
    responder: Responder = Responder()
    dns: Dns = Dns()
    outbound: Outgoing = Outgoing()
    workers: Workers = Workers()
    alarms: AlarmLimits = AlarmLimits()
    logging: Logging = Logging()
    audit: Audit = Audit()
    local_follower: LocalFollower = LocalFollower()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file."""
        del env_settings, dotenv_settings, file_secret_settings
        return _Environment(settings_cls), init_settings

    @property
    def folder(self) -> Path:
        return self.file.parent


def find(config: str | None, folder: Path | None = None) -> Path:
    """Where the settings are: `config` as named, else NAME in the working directory, then in the system folder.

    A relative `config` is tried in both; an absolute one only there. Raises SettingsError naming what was tried.
    """
    wished = Path(config or NAME)
    tried = [wished] if wished.is_absolute() else [(folder or Path.cwd()) / wished, SYSTEM_FOLDER / wished]
    for path in tried:
        if path.is_file():
            return path.resolve()
    listed = f"found neither {tried[0]} nor {tried[1]}" if len(tried) > 1 else f"{wished} is not there"
    raise SettingsError(f"no settings: {listed}. Make them with `certline init --origin https://NAME:PORT`")


def load(path: Path) -> Settings:
    """Read and check the file. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise SettingsError(f"{path}: cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{path}: is not UTF-8 text") from fault
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise SettingsError(f"{path}: is not TOML: {fault}") from fault
    try:
        settings = Settings(file=path, **_with_file_secrets(raw, os.environ))
    except ValidationError as fault:
        raise SettingsError(_faults(path, text, fault)) from fault
    return _anchored(settings)


def _with_file_secrets(raw: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """`CERTLINE_STORE__URL_FILE=/run/secrets/url` gives `store.url` from that file."""
    for variable, value in environment.items():
        match = re.fullmatch(r"CERTLINE_([A-Z0-9]+)__([A-Z0-9_]+)_FILE", variable)
        if match:
            section, field = match[1].lower(), match[2].lower()
            try:
                content = Path(value).read_text(encoding="utf-8").strip()
            except OSError as fault:
                raise SettingsError(f"{variable}: {value} cannot be read: {fault.strerror}") from fault
            raw.setdefault(section, {})[field] = content
    return raw


def _faults(path: Path, text: str, fault: ValidationError) -> str:
    lines = []
    for error in fault.errors():
        where = [str(part) for part in error["loc"]]
        lines.append(f"{path}{_line_of(text, where)}: {'.'.join(where)}: {_said(error['type'], error['msg'])}")
    return "\n".join(lines)


def _said(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a setting; remove it, or look at `certline config example`"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def _line_of(text: str, where: list[str]) -> str:
    """`:LINE` of a setting, found by its section and its key, else of the section; "" when neither is in the text."""
    section, found = None, ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            section = header[1].strip()
            if where[0] == section:
                found = f":{number}"
        elif section == where[0] and len(where) > 1 and re.match(rf"\s*{re.escape(where[1])}\s*=", line):
            return f":{number}"
    return found


def _anchored(settings: Settings) -> Settings:
    """The same settings with all paths absolute."""
    folder = settings.folder
    store, secrets, api, local = settings.store, settings.secrets, settings.api, settings.local_follower
    url = store.url
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        url = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    kek = secrets.kek
    if kek is not None and kek.startswith("file:"):
        kek = f"file:{folder / kek.removeprefix('file:')}"
    return settings.model_copy(
        update={
            "store": store.model_copy(update={"url": url}),
            "secrets": secrets.model_copy(update={"kek": kek}),
            "api": api.model_copy(
                update={
                    "tls_certificate": _under(folder, api.tls_certificate),
                    "tls_key": _under(folder, api.tls_key),
                }
            ),
            "audit": settings.audit.model_copy(update={"file": _under(folder, settings.audit.file)}),
            "local_follower": local.model_copy(update={"config": _under(folder, local.config)}),
        }
    )


def _under(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


EXAMPLE = """\
# certline.toml: the master's settings. Relative paths count from this file's folder.

[api]
listen = "{listen}"
# The URLs under which followers reach this master; the API's certificate carries their names.
origins = [{origins}]
# tls = "files"                   # a certificate of your own instead of one from certline's private CA:
# tls_certificate = "api.pem"
# tls_key = "api.key"
# trust = "chain"                 # followers check the API's chain and dates (behind a TLS-terminating proxy)
# trusted_proxies = ["127.0.0.1/32"]  # whose X-Forwarded-For is believed; with tls "off" they speak plain HTTP

# [api.limits]                    # how many a minute, beyond a burst; 0 for no limit
# follower_per_minute = 240       # requests of one follower
# records_per_minute = 30         # events that one follower causes
# caller_per_minute = 1200        # requests with one admin token
# failures_per_minute = 60        # refused credentials and enrolments from one address

[store]
url = "{store}"
# url = "postgresql+psycopg://certline@/certline"

[secrets]
# The key that encrypts every secret in the store. Back it up apart from the database.
kek = "{kek}"

# [responder]                     # our own DNS server for zones with `solver: responder`
# listen = "0.0.0.0:53"

# [http01]                        # our own answers to http-01
# listen = "0.0.0.0:80"

# [dns]                           # resolvers for CNAMEs and name servers; the system's when left out
# nameservers = ["127.0.0.1:53"]

# [outbound]                      # CAs of your own: hosts and networks off the public Internet that may be asked
# private = ["ca.internal.example", "10.0.0.0/8"]

# [workers]
# threads = 16
# orders_at_once = 50

# [alarms]
# deployed_within = "75m"         # a version that its host does not use by then is told of
# survival_days = 3               # so much time must be left if the master, the CA or the DNS stopped now

# [logging]
# level = "info"
# format = "auto"                 # plain on a terminal, else one JSON object a line
"""


def example(
    *,
    origins: tuple[str, ...] = ("https://master.example:8443",),
    listen: str = "0.0.0.0:8443",
    store: str = "sqlite:///data/certline.sqlite",
    kek: str = "file:kek",
) -> str:
    """A commented settings file."""
    quoted = ", ".join(f'"{text}"' for text in origins)
    return EXAMPLE.format(origins=quoted, listen=listen, store=store, kek=kek)
