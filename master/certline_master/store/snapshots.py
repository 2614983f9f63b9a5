"""All that the planner needs of many lines, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from certline_master.domain.access import SYSTEM
from certline_master.domain.going_back import HELD_UNTIL
from certline_master.domain.model import (
    DeploymentState,
    Issuer,
    Line,
    LineCsr,
    LineSnapshot,
    Slot,
    Version,
    VersionState,
)
from certline_master.store import held_keys
from certline_master.store.grants import FOLLOWER, followers_of
from certline_master.store.instance import Instance
from certline_master.store.issuers import Issuers
from certline_master.store.order_rows import names_sha256
from certline_master.store.session import Session, Shape, several
from certline_master.store.tables import (
    LIVE_ORDER,
    certificates,
    deployments,
    followers,
    line_csrs,
    lines,
    orders,
    versions,
)
from certline_master.store.tlsa import TlsaLedger
from certline_master.store.versions import VERSION, with_certificates

LINE = Shape(Line, lines)
CSR = Shape(LineCsr, line_csrs)
_MOST_FAILED = 10  # the back-off ladder is shorter than that

_LINES = select(*LINE.columns, *FOLLOWER.columns).outerjoin(followers).where(lines.c.id.in_(several("wanted")))
_CSRS = select(*CSR.columns, line_csrs.c.line_id).where(line_csrs.c.line_id.in_(several("wanted")))

_SUCCEEDED = and_(
    versions.c.state.in_([VersionState.LIVE, VersionState.RETIRED, VersionState.REVOKED]),
    or_(versions.c.live_since.is_not(None), versions.c.staged_since.is_(None)),  # not what was staged and dropped
)
_RANKED = (
    select(
        versions,
        func.max(versions.c.number).over(partition_by=versions.c.line_id).label("newest"),
        func.max(versions.c.number).filter(_SUCCEEDED).over(partition_by=versions.c.line_id).label("succeeded"),
        func.row_number()
        .over(partition_by=[versions.c.line_id, versions.c.state], order_by=versions.c.number.desc())
        .label("place"),
    )
    .where(versions.c.line_id.in_(several("wanted")))
    .subquery()
)
_VERSIONS = (
    select(*[_RANKED.c[name] for name in VERSION.names])
    .where(
        or_(
            _RANKED.c.state.in_([VersionState.ORDERED, VersionState.STAGED, VersionState.LIVE]),
            # Whatever became of it: the next version's number follows from the newest one's.
            _RANKED.c.number == _RANKED.c.newest,
            _RANKED.c.number == _RANKED.c.succeeded,  # hosts have seen that number, even if an older one is live again
            and_(
                _RANKED.c.state == VersionState.FAILED,
                _RANKED.c.number > func.coalesce(_RANKED.c.succeeded, 0),
                _RANKED.c.place <= _MOST_FAILED,
            ),
        )
    )
    .order_by(_RANKED.c.number.desc())
)
_UNDER_WAY = (
    select(orders.c.issuer_id, orders.c.names_sha256, orders.c.profile, orders.c.due, versions.c.line_id)
    .join(certificates, certificates.c.id == orders.c.certificate_id)
    .join(versions, versions.c.id == certificates.c.version_id)
    .where(LIVE_ORDER, orders.c.names_sha256.in_(several("hashes")))
)

_LAST_PULLED = (
    select(func.max(deployments.c.version))
    .where(deployments.c.line_id == versions.c.line_id, deployments.c.state != DeploymentState.WANTED)
    .scalar_subquery()
)
_UNPULLED = (
    select(versions.c.line_id, func.count().label("unpulled"))
    .where(
        versions.c.line_id.in_(several("wanted")),
        versions.c.state.in_([VersionState.LIVE, VersionState.RETIRED]),
        _SUCCEEDED,
        versions.c.number > func.coalesce(_LAST_PULLED, 0),
    )
    .group_by(versions.c.line_id)
)


def snapshots(session: Session, line_ids: Sequence[str]) -> list[LineSnapshot]:
    """In the order asked for, without those that are missing."""
    wanted = {"wanted": list(line_ids)}
    found = {row[0]: row for row in session.rows(_LINES, wanted)}
    if not found:
        return []
    split = len(LINE.names)
    wishes = {line_id: LINE.read(row[:split]) for line_id, row in found.items()}
    theirs = followers_of(session, [found[line.id][split:] for line in wishes.values() if line.follower_id])
    hosts = {follower.id: follower for follower in theirs}
    issuers = {issuer.id: issuer for issuer in Issuers(session).all(SYSTEM)}
    csrs, history = _csrs(session, wanted), _versions(session, wanted)
    unpulled = {row.line_id: row.unpulled for row in session.rows(_UNPULLED, wanted)}
    keys = held_keys.of(session, wishes.values(), history, csrs)
    under_way = session.rows(_UNDER_WAY, {"hashes": list({names_sha256(line.names) for line in wishes.values()})})
    dane = [line.id for line in wishes.values() if line.options.tlsa]
    ledger = TlsaLedger(session).of_lines(SYSTEM, dane)
    until = Instance(session).get(SYSTEM, HELD_UNTIL)
    held_until = datetime.fromisoformat(until) if until else None

    def one(line: Line) -> LineSnapshot:
        follower = hosts.get(line.follower_id or "")
        issuer = _issuer_of(line, issuers)
        busy = _busy_until(line, issuer, under_way)
        current = tuple(csr for csr in csrs[line.id] if csr.slot is Slot.CURRENT)
        held = current, tuple(history[line.id])
        missed = unpulled.get(line.id, 0)
        made = LineSnapshot(line, issuer, *held, follower, busy, missed, held_until=held_until)
        return keys.into(replace(made, tlsa=tuple(ledger.get(line.id, ()))), csrs[line.id])

    return [one(wishes[line_id]) for line_id in line_ids if line_id in wishes]


def _issuer_of(line: Line, issuers: dict[str, Issuer]) -> Issuer | None:
    if line.issuer_id is not None:
        return issuers.get(line.issuer_id)
    return next((issuer for issuer in issuers.values() if issuer.is_default), None)


def _csrs(session: Session, wanted: dict[str, Any]) -> dict[str, list[LineCsr]]:
    found: dict[str, list[LineCsr]] = defaultdict(list)
    for row in session.rows(_CSRS, wanted):
        found[row.line_id].append(CSR.read(row))
    return found


def _versions(session: Session, wanted: dict[str, Any]) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = defaultdict(list)
    for version in with_certificates(session, session.rows(_VERSIONS, wanted)):
        found[version.line_id].append(version)
    return found


def _busy_until(line: Line, issuer: Issuer | None, under_way: Sequence[Any]) -> datetime | None:
    """Where no profile is wished, which one it will be is the planner's to say: then any profile counts."""
    if issuer is None:
        return None
    sha256, profile = names_sha256(line.names), line.profile or issuer.profile
    dues = (
        row.due
        for row in under_way
        if row.issuer_id == issuer.id
        and row.names_sha256 == sha256
        and row.line_id != line.id
        and profile in (None, row.profile)
    )
    return min(dues, default=None)
