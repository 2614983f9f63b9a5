"""Commands of the master: what they may be told of, and which a line may name. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from certline_master.domain.errors import Fault
from certline_master.domain.fleet import DesiredFleet
from certline_master.domain.pointers import pointer
from certline_shared import placeholders
from certline_shared.running import AS_WE_ARE, Surroundings

SEVERAL = ("domains_all",)
_COMMON = ("event", "line", "domains_cn", *SEVERAL)
EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "prepare": (*_COMMON, "key_type"),
    "set_dns_challenge": (*_COMMON, "domain", "zone", "record", "challenge"),
    "clear_dns_challenge": (*_COMMON, "domain", "zone", "record", "challenge"),
    "dns_zone_update": (*_COMMON, "zone"),
    "set_http_challenge": (*_COMMON, "domain", "token"),
    "clear_http_challenge": (*_COMMON, "domain", "token"),
    "order_issued": (*_COMMON, "key_type"),
    "order_failed": (*_COMMON, "key_type", "error"),
})  # fmt: skip
"""What happens to orders and challenges, with the placeholders of each: acmebot's names, lematt's `prepare`, and how an
order ended."""

SINGLE = tuple(sorted({name for names in EVENTS.values() for name in names} - {*SEVERAL}))


@dataclass(frozen=True, slots=True)
class Command:
    """A program that the master's own settings name; nothing else is ever started."""

    name: str
    argv: tuple[str, ...]
    timeout: float = 60
    required: bool = False  # an order does not go on before it ended well
    around: Surroundings = AS_WE_ARE

    @property
    def placeholders(self) -> frozenset[str]:
        return placeholders.names_in(self.argv)


def command_faults(desired: DesiredFleet, commands: Mapping[str, Command]) -> Iterator[Fault]:
    """Events that never happen, commands that the settings do not have, and those that ask for what an event lacks."""
    for line, wish in desired.lines.items():
        for event, names in wish.options.commands.items():
            for why in _why_not(event, names, commands):
                yield Fault(pointer("lines", line, "options", "commands", event), why)


def _why_not(event: str, names: tuple[str, ...], commands: Mapping[str, Command]) -> Iterator[str]:
    if event not in EVENTS:
        yield f"there is no event {event!r} on the master: use one of {', '.join(EVENTS)}"
        return
    for name in names:
        command = commands.get(name)
        if command is None:
            known = ", ".join(sorted(commands)) or "none yet"
            yield f"there is no command {name!r}: write [commands.{name}] into the master's certline.toml ({known})"
        elif missing := sorted(command.placeholders - {*EVENTS[event]}):
            named = ", ".join(f"{{{one}}}" for one in missing)
            yield f"the command {name!r} asks for {named}, which this event does not have: name another one"
