"""A fleet plan in words: what is made, changed and deleted, member by member, and the orders that this causes."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from certline_master.cli.asking import many

MOST_SHOWN = 100  # characters of a value

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_DONE = {"create": "created", "update": "changed", "delete": "deleted"}


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The whole plan (an answer of POST /v1/fleet/plan)."""
    if not plan["changes"]:
        yield "nothing to do"
        return
    for change in plan["changes"]:
        yield f"{_SIGNS[change['action']]} {change['kind']} {change['name']}"
        yield from (f"    {_field(change['action'], one)}" for one in change["fields"])
    if plan["orders"]:
        yield "orders that this causes, once the followers have sent their requests:"
        yield from (f"  {_order(order)}" for order in plan["orders"])
    yield from plan.get("consequences", ())
    yield from (f"terms of service: {terms}" for terms in plan["terms"])
    if plan["guard"]:
        yield f"refused unless forced: {plan['guard']}"
    yield f"plan: {summary(plan)}"


def summary(plan: Mapping[str, Any]) -> str:
    """As `2 created, 1 deleted; 1 order`."""
    counts = Counter(change["action"] for change in plan["changes"])
    parts = [f"{counts[action]} {word}" for action, word in _DONE.items() if counts[action]]
    orders = len(plan["orders"])
    return ", ".join(parts) + (f"; {many(orders, 'order')}" if orders else "")


def _field(action: str, change: Mapping[str, Any]) -> str:
    after = _value(change["field"], change["after"])
    if action == "create":
        return f"{change['field']}: {after}"
    return f"{change['field']}: {_value(change['field'], change['before'])} -> {after}"


def _value(field: str, value: Any) -> str:
    if value is None:
        return "none"
    if field == "ca_certificates":
        return f"{str(value).count('-----BEGIN')} certificate(s)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _order(order: Mapping[str, Any]) -> str:
    kind = f", {order['key_type']}" if order.get("key_type") else ""
    return f"{order['line']}: {' '.join(order['names'])}{kind} from {order['issuer']} ({order['reason']})"
