"""Who is to have a line: the follower it is for; where the master keeps the key, each that was granted to pull it."""

from typing import Any

from sqlalchemy import FromClause, and_, select, union

from certline_master.domain.deployment import Receiver
from certline_master.domain.model import GrantKind
from certline_master.store.scope import is_member
from certline_master.store.tables import followers, grants, group_grants, groups, lines

RECEIVER = [followers.c[name] for name in ("id", "name", "state", "enrolled", "last_seen")]


def pairs(*conditions: Any) -> FromClause:
    """`line_id` and `follower_id` of the lines that meet the conditions, each pair once."""
    own = select(lines.c.id.label("line_id"), lines.c.follower_id).where(lines.c.follower_id.is_not(None), *conditions)
    granted = select(lines.c.id, grants.c.follower_id).join(
        grants, and_(grants.c.kind == GrantKind.PULL, grants.c.name == lines.c.name)
    )
    by_group = (
        select(lines.c.id, followers.c.id)
        .join(group_grants, and_(group_grants.c.kind == GrantKind.PULL, group_grants.c.name == lines.c.name))
        .join(groups, groups.c.id == group_grants.c.group_id)
        .join(followers, is_member(groups.c.name))
    )
    shared = [one.where(lines.c.follower_id.is_(None), *conditions) for one in (granted, by_group)]
    return union(own, *shared).subquery("pairs")


def read_receiver(row: Any) -> Receiver:
    """From a row that begins with the columns of RECEIVER."""
    return Receiver(*row[: len(RECEIVER)])
