"""Groups of followers, and what each grants to all of them."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import Grant, Group
from certline_master.store.scope import is_member, sees_all
from certline_master.store.session import Session, Shape, Upsert, param
from certline_master.store.tables import followers, group_grants, groups

_GROUP = Shape(Group, groups, without=("grants",))
_ALL = select(*_GROUP.columns).order_by(groups.c.name)
_BY_NAME = _ALL.where(groups.c.name == param("wanted"))
_GRANTS = select(group_grants).order_by(group_grants.c.kind, group_grants.c.name)
_SAVE = Upsert(groups, ("id",), ("name", "owner"))
_DELETE = delete(groups).where(groups.c.id == param("wanted"))
_ADD_GRANT = insert(group_grants)
_DROP_GRANTS = delete(group_grants).where(group_grants.c.group_id == param("wanted"))

_A_MEMBER = select(followers.c.name).where(is_member(param("group"))).order_by(followers.c.name).limit(1)


class Groups:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[Group]:
        """By name. A follower sees what it was granted, not through which group."""
        return self._read(self._session.rows(_ALL)) if sees_all(caller) else []

    def get(self, caller: Caller, name: str) -> Group:
        found = self._read(self._session.rows(_BY_NAME, {"wanted": name})) if sees_all(caller) else []
        if not found:
            raise NotFound("group", name)
        return found[0]

    def save(self, caller: Caller, group: Group) -> None:
        """Insert or update by id, with its grants. Raises Conflict when the name is another's."""
        caller.require(Role.OPERATOR)
        with self._session.all_or_nothing(f"there is another group {group.name!r} already"):
            self._session.run(_SAVE.on(self._session), _GROUP.write(group))
        self._session.run(_DROP_GRANTS, {"wanted": group.id})
        rows = [{"group_id": group.id, "kind": one.kind, "name": one.name} for one in dict.fromkeys(group.grants)]
        self._session.run(_ADD_GRANT, rows)

    def delete(self, caller: Caller, name: str) -> None:
        """Raises Conflict while a follower is in it."""
        caller.require(Role.OPERATOR)
        group = self.get(caller, name)
        member = self._session.row(_A_MEMBER, {"group": name})
        if member:
            raise Conflict(f"the follower {member.name!r} is in the group {name!r}: take it out first")
        self._session.run(_DELETE, {"wanted": group.id})

    def _read(self, rows: Any) -> list[Group]:
        granted: dict[str, list[Grant]] = defaultdict(list)
        for row in self._session.rows(_GRANTS) if rows else ():
            granted[row.group_id].append(Grant(row.kind, row.name))
        bare = [_GROUP.read(row) for row in rows]
        return [replace(group, grants=tuple(granted[group.id])) for group in bare]
