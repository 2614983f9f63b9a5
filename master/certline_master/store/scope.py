"""What a caller may see: a follower only what is its own or was granted to it, everyone else everything."""

from typing import Any

from sqlalchemy import ColumnElement, Text, and_, func, literal, or_, select, type_coerce

from certline_master.domain.access import Caller, Role
from certline_master.domain.model import GrantKind
from certline_master.domain.rehearsal import MARK
from certline_master.store.session import param
from certline_master.store.tables import followers, grants, group_grants, groups, lines


def sees_all(caller: Caller) -> bool:
    return caller.role is not Role.FOLLOWER


def may_touch(caller: Caller, follower_id: str | None) -> bool:
    """Whether this follower is within the caller's sight."""
    return sees_all(caller) or caller.follower_id == follower_id


def own(caller: Caller) -> dict[str, str]:
    """The parameter of statements that are limited to a follower; one without an id sees nothing."""
    return {"own": caller.follower_id or ""}


def is_member(group: Any) -> ColumnElement[bool]:
    """Whether a follower is in the group of this name: its groups are a JSON list of names, which hold no quotes."""
    listed = type_coerce(followers.c.groups, Text())
    return func.replace(listed, literal('"') + group + literal('"'), "") != listed


_PULLED = select(grants.c.name).where(grants.c.follower_id == param("own"), grants.c.kind == GrantKind.PULL)
_PULLED_BY_GROUP = (
    select(group_grants.c.name)
    .join(groups, groups.c.id == group_grants.c.group_id)
    .join(followers, is_member(groups.c.name))
    .where(followers.c.id == param("own"), group_grants.c.kind == GrantKind.PULL)
)
SEEN: ColumnElement[bool] = or_(
    lines.c.follower_id == param("own"),
    and_(
        lines.c.name.in_(_PULLED.union_all(_PULLED_BY_GROUP)),
        lines.c.follower_id.is_(None),
    ),
)
"""The lines that the follower `own` sees: its own, and those of the master's key that it may pull."""

REHEARSED: ColumnElement[bool] = lines.c.name.contains(f"{MARK}@", autoescape=True)
"""The lines that are rehearsals, which people see where they ask for them only."""

HOLDERS = (
    select(followers.c.id)
    .where(
        or_(
            followers.c.id == param("owner"),
            followers.c.id.in_(
                select(grants.c.follower_id).where(grants.c.name == param("line"), grants.c.kind == GrantKind.PULL)
            ),
            select(group_grants.c.name)
            .join(groups, groups.c.id == group_grants.c.group_id)
            .where(
                group_grants.c.name == param("line"), group_grants.c.kind == GrantKind.PULL, is_member(groups.c.name)
            )
            .correlate(followers)
            .exists(),
        )
    )
    .order_by(followers.c.name)
)
"""The followers that see a line, the other way round: `owner` is its follower, or `line` its name where it has none."""
