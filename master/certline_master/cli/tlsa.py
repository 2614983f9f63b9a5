"""`certline tlsa`: the TLSA records of lines, what DNS shows of them, and having them brought there now."""

from collections.abc import Iterable, Iterator
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, columns, shown_time
from certline_master.cli.failures import FAILED
from certline_master.cli.lines import safe

LEAST_SHOWN = 24
_STANDING = ("intended", "present", "visible")


@click.group()
def tlsa() -> None:
    """TLSA records (DANE): show, check, update."""


@tlsa.command()
@click.argument("line", required=False)
@click.option("--zone-file", is_flag=True, help="The records that are to be in DNS, as lines of a zone file.")
@asks_master
def show(asked: Asked, line: str | None, *, zone_file: bool) -> None:
    """Show the records of a line, or all, and what they wait for."""
    found = asked.client.get(f"{_route(line)}/tlsa") if line else {"records": asked.client.get("/v1/tlsa")}
    records = found["records"]
    if zone_file:
        asked.show(records, _zone_lines(records))
    elif records or not asked.quiet or asked.output == "json":
        asked.show(found if line else records, [*_table(records), *found.get("standing", ())])


def _table(records: Iterable[dict[str, Any]]) -> list[str]:
    rows = [(one["name"], _brief(one["rdata"]), one["state"], _since(one), _whose(one)) for one in records]
    return columns([("NAME", "DATA", "STATE", "SEEN EVERYWHERE SINCE", "LINES"), *rows])


def _brief(rdata: str) -> str:
    head, _, digest = rdata.rpartition(" ")
    return f"{head} {digest}" if len(digest) <= LEAST_SHOWN else f"{head} {digest[:16]}..."


def _since(one: dict[str, Any]) -> str:
    return shown_time(one["visible_since"]) if one["visible_since"] else one["error"] or "not yet"


def _whose(one: dict[str, Any]) -> str:
    return " ".join(one["lines"]) or "none any more"


def _zone_lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in records:
        if one["state"] in _STANDING:
            yield f"{one['name']}. {one['ttl']} IN TLSA {one['rdata']}"


@tlsa.command()
@click.argument("line", required=False)
@asks_master
def check(asked: Asked, line: str | None) -> None:
    """Ask every name server. Exit 4 when one does not show what is to be there, or does not answer."""
    found = [asked.client.post(f"{_route(name)}/tlsa/check", {}) for name in _lines(asked, line)]
    asked.show(found, [text for one in found for text in _checked(one, quiet=asked.quiet)])
    if not all(one["ok"] for one in found):
        click.get_current_context().exit(FAILED)


def _checked(found: dict[str, Any], *, quiet: bool) -> Iterator[str]:
    for name in found["names"]:
        yield from (f"{name['name']}: {fault}" for fault in name["faults"])
        for server in name["servers"]:
            lacks = [f"{name['name']}: {server['server']} lacks {rdata}" for rdata in server["lacks"]]
            beside = [f"{name['name']}: {server['server']} shows {rdata}, not ours" for rdata in server["foreign"]]
            yield from (*lacks, *beside)
            if not lacks and not quiet:
                yield f"{name['name']}: {server['server']} shows all (serial {server['serial']})"


@tlsa.command()
@click.argument("line", required=False)
@asks_master
def update(asked: Asked, line: str | None) -> None:
    """Bring the records to DNS now where they differ; what is right already is not sent."""
    found = [asked.client.post(f"{_route(name)}/tlsa/update", {}) for name in _lines(asked, line)]
    asked.show(found, [f"{one['line']}: {text}" for one in found for text in one["standing"]])


def _lines(asked: Asked, line: str | None) -> list[str]:
    """The one that is named, or all that have records."""
    if line:
        return [line]
    return sorted({name for one in asked.client.get("/v1/tlsa") for name in one["lines"]})


def _route(line: str) -> str:
    return f"/v1/lines/{safe(line)}"
