"""`certline line`: the certificate lines, one line's story, and having a certificate issued now."""

import json
from collections.abc import Iterator
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, columns, many, shown_time
from certline_master.cli.client import AdminClient
from certline_master.cli.events import event_rows
from certline_master.cli.hosts import host_table
from certline_master.cli.waiting import wait_for_version

PAGE = 1000
MOST_NAMES = 8


@click.group()
def line() -> None:
    """Certificate lines: list, show, issue, revoke, rollback, rollover, rollout, history."""


def all_lines(client: AdminClient) -> list[dict[str, Any]]:
    """All lines by name, page after page."""
    found: list[dict[str, Any]] = []
    while True:
        after = {"after": found[-1]["name"]} if found else {}
        page = client.get("/v1/lines", {"limit": PAGE, **after})
        found += page
        if len(page) < PAGE:
            return found


@line.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List all lines."""
    found = all_lines(asked.client)
    if found or not asked.quiet or asked.output == "json":
        rows = [_row(one) for one in found]
        asked.show(found, columns([("LINE", "FOLLOWER", "VERSION", "EXPIRES", "STANDING"), *rows]))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return one["name"], whose(one), str(one["version"] or "-"), _until(one), one["standing"]


def whose(one: dict[str, Any]) -> str:
    """The line's follower, or how many may pull it."""
    return one["follower"] or many(len(one["followers"]), "follower")


def _until(one: dict[str, Any]) -> str:
    return shown_time(one["not_after"]) if one["not_after"] else "-"


@line.command()
@click.argument("name")
@asks_master
def show(asked: Asked, name: str) -> None:
    """Show one line: its names, when it renews and why, what it waits for, and where it is installed."""
    found = asked.client.get(f"/v1/lines/{safe(name)}")
    asked.show(found, _story(found))


def safe(name: str) -> str:
    """A name as a path segment; the master checks the rest."""
    from urllib.parse import quote

    return quote(name, safe="@")


def _story(found: dict[str, Any]) -> Iterator[str]:
    line = found["line"]
    yield line["name"]
    for label, name in zip(["names", *[""] * len(line["shown"])], line["shown"], strict=False):
        yield _entry(label, name)
    yield _entry("follower", line["follower"] or f"{whose(line)}; the master keeps the key")
    yield _entry("owner", line["owner"])
    yield _entry("standing", line["standing"])
    if line["paused"]:
        yield _entry("paused", line["paused"])
    if line["csr_wanted"]:
        yield _entry("waits for", f"a request of {line['follower']} ({' '.join(line['csr_wanted'])})")
    yield from _versions(found["versions"])
    yield from (_entry("order", _order(order)) for order in found["orders"] if order["state"] not in _ENDED)
    if found["rollout"]:
        yield from _rollout(found["rollout"])
    yield from (_entry("" if number else "TLSA", text) for number, text in enumerate(found["tlsa"]))
    yield from host_table(found["hosts"], "follower")
    yield from _settings(found["settings"])


_ORIGINS = {
    "line": "",
    "key": "of its key",
    "defaults": "of the file's defaults",
    "off": "switched off",
    "issuer": "of its issuer",
    "certline": "unless said otherwise",
}


def _settings(settings: list[dict[str, Any]]) -> Iterator[str]:
    yield "settings, and where they are written if not at the line:"
    rows: list[tuple[str, ...]] = [
        (f"  {one['name']}", _value(one["value"]), _ORIGINS[one["origin"]]) for one in settings
    ]
    yield from columns(rows)


def _value(value: Any) -> str:
    if value in (None, [], {}, False):
        return "none" if value is not False else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return value if isinstance(value, str) else "yes" if value is True else json.dumps(value, ensure_ascii=False)


_ENDED = ("issued", "failed")


def _entry(label: str, text: str) -> str:
    return f"  {label:<10}{text}"


def _versions(versions: list[dict[str, Any]]) -> Iterator[str]:
    for version in versions:
        state = f"{version['number']} {version['state']}, {shown_time(version['created'])}: {version['reason']}"
        yield _entry("version", state)
        if version["failure"]:
            yield _entry("", f"failed: {version['failure']['detail']}")
        if version["state"] == "staged":
            yield _entry("", _waits(version))
        if version["state"] in _IN_FORCE:
            yield from (_entry("", text) for one in version["certificates"] for text in _certificate(one))


_IN_FORCE = ("live", "staged")


def _waits(version: dict[str, Any]) -> str:
    at = version["activate_at"]
    return f"goes live {shown_time(at) if at else 'at a time that is not known yet'}: {version['held_by']}"


def _certificate(one: dict[str, Any]) -> Iterator[str]:
    yield f"{one['key_type']}, serial {one['serial']}, valid until {shown_time(one['not_after'])}"
    if one["renewal"]:
        yield one["renewal"]


def _order(order: dict[str, Any]) -> str:
    waiting = f": {order['waiting']}" if order["waiting"] else ""
    tries = f" (failures in a row: {order['attempts']})" if order["attempts"] else ""
    return f"{order['state']}{waiting}{tries}"


def _rollout(found: dict[str, Any]) -> Iterator[str]:
    yield _entry("rollout", found["text"])
    for step in found["steps"]:
        name = f"wave {step['step']}" if step["step"] else "canaries"
        yield _entry("", f"{name}, {'open' if step['open'] else 'not yet'}: {_some(step['followers'])}")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown or "nobody"


@line.command()
@click.argument("name")
@click.option("--continue", "action", flag_value="continue", help="Open the next wave now, whatever failed so far.")
@click.option("--stop", "action", flag_value="stop", help="Open no further wave.")
@click.option("--all", "action", flag_value="all", help="Let all followers have the version now.")
@asks_master
def rollout(asked: Asked, name: str, action: str | None) -> None:
    """Show how a line's new version reaches its followers wave by wave; go on with it, or stop it.

    The last of the options counts. Exit 3 when no rollout is under way that could be moved.
    """
    route = f"/v1/lines/{safe(name)}"
    found = asked.client.post(f"{route}/rollout", {"action": action}) if action else asked.client.get(route)["rollout"]
    if found is None:
        asked.show(None, [f"{name} has no rollout: all its followers get a new version at once"])
        return
    asked.show(found, [name, *_rollout(found)])


@line.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Issue again, whatever the age.")
@click.option("--wait", is_flag=True, help="Wait until the certificate is issued (exit 4 when it is not).")
@click.option("--timeout", type=click.FloatRange(1, 86_400), default=600, show_default=True, help="Seconds for --wait.")
@asks_master
def issue(asked: Asked, name: str, *, force: bool, wait: bool, timeout: float) -> None:
    """Have the master look at a line now, and issue if it is due (with --force: whatever the age)."""
    route = f"/v1/lines/{safe(name)}"
    before = asked.client.get(route)
    said = asked.client.post(f"{route}/issue", {"force": force})
    if not wait:
        asked.show(said, [f"{name}: {said['standing']}"])
        return
    version = wait_for_version(asked.client, route, before, force=force, seconds=timeout)
    if version is None:
        if not asked.quiet:
            asked.show(said, [f"nothing to do: {said['standing']}"])
        return
    serials = " ".join(str(one["serial"]) for one in version["certificates"])
    staged = f"; it {_waits(version)}" if version["state"] == "staged" else ""
    asked.show(version, [f"{name}: version {version['number']} was issued, serial {serials}{staged}"])


@line.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@asks_master
def history(asked: Asked, name: str, limit: int) -> None:
    """Show what happened to a line, newest first; a line that was deleted still has its history."""
    found = asked.client.get(f"/v1/lines/{safe(name)}/history", {"limit": limit})
    asked.show(found, event_rows(found))
