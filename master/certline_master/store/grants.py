"""What followers were granted: by themselves, and through the groups that they name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select

from certline_master.domain.model import Follower, Grant
from certline_master.store.session import Session, Shape, param, several
from certline_master.store.tables import followers, grants, group_grants, groups

FOLLOWER = Shape(Follower, followers, without=("grants", "group_grants"))

_ALL = select(grants).order_by(grants.c.kind, grants.c.name)
_OF = _ALL.where(grants.c.follower_id.in_(several("wanted")))
_ADD = insert(grants)
_DROP = delete(grants).where(grants.c.follower_id == param("wanted"))
_OF_GROUPS = (
    select(groups.c.name.label("group"), group_grants.c.kind, group_grants.c.name)
    .join(groups, groups.c.id == group_grants.c.group_id)
    .order_by(group_grants.c.kind, group_grants.c.name)
)
_FEW = 500  # beyond that many it is cheaper to read all grants


def followers_of(session: Session, rows: Sequence[Any]) -> list[Follower]:
    """Whole followers from rows that begin with FOLLOWER's columns, in at most two more queries."""
    ids = {row[0] for row in rows}
    found = session.rows(_OF, {"wanted": list(ids)}) if len(ids) <= _FEW else session.rows(_ALL)
    own: dict[str, list[Grant]] = defaultdict(list)
    for row in found:
        own[row.follower_id].append(Grant(row.kind, row.name))
    bare = [FOLLOWER.read(row, grants=tuple(own[row[0]])) for row in rows]
    return _with_groups(session, bare)


def set_grants(session: Session, follower_id: str, wanted: Iterable[Grant]) -> None:
    session.run(_DROP, {"wanted": follower_id})
    rows = [{"follower_id": follower_id, "kind": one.kind, "name": one.name} for one in dict.fromkeys(wanted)]
    session.run(_ADD, rows)


def _with_groups(session: Session, found: list[Follower]) -> list[Follower]:
    if not any(follower.groups for follower in found):
        return found
    by_group: dict[str, list[Grant]] = defaultdict(list)
    for row in session.rows(_OF_GROUPS):
        by_group[row.group].append(Grant(row.kind, row.name))
    return [_joined(follower, by_group) for follower in found]


def _joined(follower: Follower, by_group: Mapping[str, list[Grant]]) -> Follower:
    """A group that is gone grants nothing."""
    through = (grant for name in follower.groups for grant in by_group.get(name, ()))
    return replace(follower, group_grants=tuple(dict.fromkeys(through)))
