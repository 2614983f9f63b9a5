"""The settings of a service: its commands, where it is looked at after a reload, and when its files may change."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from certline_follower import command_settings
from certline_follower.command_settings import argv
from certline_follower.toml_reading import Table
from certline_shared import names as dns
from certline_shared import windows
from certline_shared.running import AS_WE_ARE, Surroundings
from certline_shared.windows import Window

OnFailure = Literal["rollback", "warn"]
StartTls = Literal["smtp", "lmtp", "imap", "pop3", "sieve", "ftp", "xmpp", "ldap", "postgres"]

_CONNECT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to look at what a service serves; `sni` None: the line's first name, `line` None: all of the service's."""

    host: str
    port: int
    sni: str | None = None
    starttls: StartTls | None = None
    line: str | None = None
    rehearse: bool = field(default=False, repr=False)  # a rehearsal looks there too

    @property
    def connect(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """A local thing that uses certificates; its commands are argument vectors, its times are in seconds."""

    name: str
    reload: tuple[str, ...] | None
    check: tuple[str, ...] | None
    timeout: float
    on_failure: OnFailure
    probes: tuple[Target, ...] = ()
    probe_seconds: float = 30.0
    windows: tuple[Window, ...] = ()
    around: Surroundings = AS_WE_ARE
    rehearse: bool = True  # a rehearsal checks and reloads it too

    def targets(self, line: str) -> tuple[Target, ...]:
        """Where that line is looked for."""
        return tuple(target for target in self.probes if target.line in (None, line))


PRESETS: Mapping[str, tuple[str, str]] = {
    "apache": ("reload", "apache2"),
    "coturn": ("restart", "coturn"),
    "dovecot": ("restart", "dovecot"),
    "etherpad": ("restart", "etherpad"),
    "mysql": ("reload", "mysql"),
    "nginx": ("reload", "nginx"),
    "postfix": ("reload", "postfix"),
    "postgresql": ("reload", "postgresql"),
    "prosody": ("restart", "prosody"),
    "slapd": ("restart", "slapd"),
    "synapse": ("restart", "matrix-synapse"),
    "znc": ("restart", "znc"),
}
"""Services that need no table of their own: what acmebot does for each, and systemd's name of it."""


def preset(name: str) -> Service | None:
    """The service of that name, where it is one that is known."""
    if name not in PRESETS:
        return None
    return Service(name, ("systemctl", *PRESETS[name]), None, 60, "rollback")


def services(table: Table, lines: Sequence[Table] = ()) -> dict[str, Service]:
    """The table [services], and what lines use of PRESETS beside it. Raises SettingsError."""
    found = {name: _service(table, name) for name in table.fields()}
    for line in lines:
        used = line.texts("services", '["nginx"]') or ()
        found |= {name: known for name in used if name not in found and (known := preset(name))}
    return found


def check_name(table: Table, field: str, name: str, what: str) -> None:
    """Raises SettingsError for a name that no object can have."""
    try:
        dns.check_object_name(name, what)
    except dns.BadName as error:
        raise table.fault(field, str(error)) from None


def check_probes(table: Table, found: Mapping[str, Service], users: Mapping[str, Sequence[str]]) -> None:
    """What only shows beside the lines; `users`: service -> the lines that use it. Raises SettingsError."""
    for service in found.values():
        lines = users.get(service.name, ())
        for target, probe in zip(service.probes, table.table(service.name).tables("probe"), strict=True):
            if target.line is not None and target.line not in lines:
                listed = ", ".join(lines) or "none"
                raise probe.fault("line", f"no line {target.line!r} uses this service (these do: {listed}): correct it")
            if target.sni is not None and target.line is None and len(lines) > 1:
                raise probe.fault("sni", f"several lines use this service ({', '.join(lines)}): say which by line =")


def read_windows(table: Table) -> tuple[Window, ...]:
    """The key `windows` of a table. Raises SettingsError."""
    found = []
    for text in table.texts("windows", f'["{windows.EXAMPLE}"]') or ():
        try:
            found.append(windows.read(text))
        except windows.BadWindow as error:
            raise table.fault("windows", str(error)) from None
    return tuple(found)


def _service(table: Table, name: str) -> Service:
    check_name(table, name, name, "service")
    service = table.table(name)
    keys = ("reload", "check", "timeout", "on_failure", "probe", "probe_seconds", "windows", "rehearse")
    service.only(*keys, *command_settings.KEYS)
    reload, check = argv(service, "reload"), argv(service, "check")
    probes = tuple(_target(probe) for probe in service.tables("probe"))
    if reload is None and check is None and not probes and (known := preset(name)):
        reload = known.reload
    if reload is None and check is None and not probes:
        raise service.fault("reload", f'is missing: write reload = ["systemctl", "reload", "{name}"]')
    on_failure = cast("OnFailure", service.choice("on_failure", get_args(OnFailure)) or "rollback")
    timeout, probe_seconds = service.number("timeout", 60, 0.1, 3600), service.number("probe_seconds", 30, 0, 3600)
    around, rehearse = command_settings.surroundings(service), service.flag("rehearse", default=True)
    return Service(
        name, reload, check, timeout, on_failure, probes, probe_seconds, read_windows(service), around, rehearse
    )


def _target(probe: Table) -> Target:
    probe.only("connect", "sni", "starttls", "line", "rehearse")
    text = probe.needed_text("connect", "127.0.0.1:443")
    found = _CONNECT.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= 65_535:
        raise probe.fault("connect", f'{text!r} is no address with a port: write "127.0.0.1:443" or "[::1]:443"')
    starttls = cast("StartTls | None", probe.choice("starttls", get_args(StartTls)))
    host, port = found["v6"] or found["host"], int(found["port"])
    rehearse = probe.flag("rehearse", default=False)
    return Target(host, port, _sni(probe), starttls, probe.text("line"), rehearse=rehearse)


def _sni(probe: Table) -> str | None:
    text = probe.text("sni")
    if text is None:
        return None
    try:
        ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        raise probe.fault("sni", f"{text} is an address: write a DNS name, or leave sni out (RFC 6066 section 3)")
    try:
        name = dns.normalise(text)
    except dns.BadName as error:
        raise probe.fault("sni", str(error)) from None
    if name.startswith("*."):
        raise probe.fault("sni", f'{text} is a wildcard: write a name under it, as "www{name[1:]}"')
    return name
