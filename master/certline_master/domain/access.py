"""Who is asking, and what each may do. Every store query takes a Caller."""

from dataclasses import dataclass
from enum import StrEnum

from certline_master.domain.errors import Forbidden


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    FOLLOWER = "follower"
    SYSTEM = "system"  # the master's own workers


_REACH = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3, Role.SYSTEM: 4}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. Made only by api/callers.py after verification, and as SYSTEM by the workers."""

    role: Role
    name: str
    follower_id: str | None = None

    @property
    def actor(self) -> str:
        """How audit records name this caller."""
        if self.role is Role.SYSTEM:
            return "system"
        return f"follower:{self.name}" if self.role is Role.FOLLOWER else f"admin:{self.name}"

    def require(self, least: Role) -> None:
        """Raises Forbidden unless this caller is a person or script with at least that role."""
        if _REACH.get(self.role, 0) < _REACH[least]:
            raise Forbidden(f"this needs the role {least}; you have {self.role}")


SYSTEM = Caller(Role.SYSTEM, "system")
