"""All tables. Columns have the names of the domain's fields; what is there for the store's own use is marked so."""

from certline_master.store.tables_base import metadata
from certline_master.store.tables_lines import (
    LIVE_ORDER,
    STANDING,
    certificates,
    challenges,
    deployments,
    line_csrs,
    lines,
    orders,
    versions,
)
from certline_master.store.tables_setup import (
    admin_tokens,
    data_keys,
    enrolment_tokens,
    events,
    followers,
    grants,
    http_names,
    instance,
    issuers,
    nonces,
    secrets,
    zones,
)

__all__ = [
    "LIVE_ORDER",
    "STANDING",
    "admin_tokens",
    "certificates",
    "challenges",
    "data_keys",
    "deployments",
    "enrolment_tokens",
    "events",
    "followers",
    "grants",
    "http_names",
    "instance",
    "issuers",
    "line_csrs",
    "lines",
    "metadata",
    "nonces",
    "orders",
    "secrets",
    "versions",
    "zones",
]
