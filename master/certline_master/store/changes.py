"""Whether anything has changed that manifests are made of: one mark, set anew in the transaction that changes it.

It spares a poll all queries but one while nothing changes. Every statement that writes counts, unless its table is
listed here or it says itself that no manifest shows what it writes: what is forgotten costs time, not truth.
"""

from typing import Any

from sqlalchemy import Executable
from sqlalchemy.sql.dml import UpdateBase

UNSEEN = {"shows_in_manifests": False}
"""Execution options of a statement that writes what no manifest shows."""

_UNSEEN_TABLES = frozenset(
    {
        "admin_tokens",
        "challenges",
        "data_keys",
        "deployments",
        "enrolment_tokens",
        "events",
        "http_names",
        "instance",
        "introductions",
        "issuers",
        "key_copies",
        "nonces",
        "orders",
        "revocations",
        "sealed_keys",  # made while a manifest is, for that one follower
        "seals",
        "secrets",
        "tlsa_looks",
        "tlsa_records",
        "tlsa_wants",
        "zones",
    }
)


def shows(statement: Executable) -> bool:
    """Whether a manifest may show what this statement writes."""
    if not isinstance(statement, UpdateBase):
        return False
    table: Any = statement.table
    return table.name not in _UNSEEN_TABLES and statement.get_execution_options().get("shows_in_manifests", True)
