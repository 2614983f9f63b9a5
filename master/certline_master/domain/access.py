"""Who is asking, and the one table of what each may call. Every store query takes a Caller."""

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

# The least role for each route; a new route is served only once it stands here (api/permissions.py).
LEAST: dict[tuple[str, str], Role | None] = {
    # None: open to everyone; what it needs it checks itself
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/v1/docs"): None,
    ("POST", "/v1/enroll"): None,
    ("POST", "/v1/introductions"): None,
    ("GET", "/v1/follower/manifest"): Role.FOLLOWER,
    ("PUT", "/v1/follower/lines/{name}"): Role.FOLLOWER,
    ("GET", "/v1/follower/lines/{name}/versions/{number}"): Role.FOLLOWER,
    ("PUT", "/v1/follower/lines/{name}/versions/{number}"): Role.FOLLOWER,
    ("POST", "/v1/follower/lines/{name}/renew"): Role.FOLLOWER,
    ("POST", "/v1/follower/lines/{name}/rollover"): Role.FOLLOWER,
    ("POST", "/v1/follower/reports"): Role.FOLLOWER,
    ("POST", "/v1/follower/keys"): Role.FOLLOWER,
    ("GET", "/v1/whoami"): Role.VIEWER,
    ("GET", "/v1/status"): Role.VIEWER,
    ("GET", "/v1/events"): Role.VIEWER,
    ("GET", "/v1/events/verify"): Role.VIEWER,
    ("POST", "/v1/fleet/plan"): Role.ADMIN,  # it looks at the directories that the caller names
    ("POST", "/v1/fleet/apply"): Role.ADMIN,
    ("GET", "/v1/issuers"): Role.VIEWER,
    ("GET", "/v1/issuers/{name}"): Role.VIEWER,
    ("PUT", "/v1/issuers/{name}"): Role.ADMIN,
    ("DELETE", "/v1/issuers/{name}"): Role.ADMIN,
    ("GET", "/v1/zones"): Role.VIEWER,
    ("GET", "/v1/zones/{name}"): Role.VIEWER,
    ("PUT", "/v1/zones/{name}"): Role.ADMIN,
    ("DELETE", "/v1/zones/{name}"): Role.ADMIN,
    ("GET", "/v1/http"): Role.VIEWER,
    ("GET", "/v1/http/{name}"): Role.VIEWER,
    ("PUT", "/v1/http/{name}"): Role.ADMIN,
    ("DELETE", "/v1/http/{name}"): Role.ADMIN,
    ("GET", "/v1/lines"): Role.VIEWER,
    ("GET", "/v1/lines/{name}"): Role.VIEWER,
    ("PUT", "/v1/lines/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/lines/{name}"): Role.OPERATOR,
    ("GET", "/v1/lines/{name}/history"): Role.VIEWER,
    ("POST", "/v1/lines/{name}/issue"): Role.OPERATOR,
    ("POST", "/v1/lines/{name}/rollout"): Role.OPERATOR,
    ("POST", "/v1/lines/{name}/revoke"): Role.OPERATOR,
    ("POST", "/v1/lines/{name}/rollback"): Role.OPERATOR,
    ("POST", "/v1/lines/{name}/rollover"): Role.OPERATOR,
    ("POST", "/v1/lines/{name}/rehearse"): Role.OPERATOR,
    ("GET", "/v1/lines/{name}/tlsa"): Role.VIEWER,
    ("POST", "/v1/lines/{name}/tlsa/check"): Role.OPERATOR,  # it asks name servers
    ("POST", "/v1/lines/{name}/tlsa/update"): Role.OPERATOR,
    ("GET", "/v1/tlsa"): Role.VIEWER,
    ("GET", "/v1/groups"): Role.VIEWER,
    ("GET", "/v1/groups/{name}"): Role.VIEWER,
    ("PUT", "/v1/groups/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/groups/{name}"): Role.OPERATOR,
    ("GET", "/v1/followers"): Role.VIEWER,
    ("GET", "/v1/followers/{name}"): Role.VIEWER,
    ("PUT", "/v1/followers/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/followers/{name}"): Role.OPERATOR,
    ("POST", "/v1/signing-key/rotate"): Role.ADMIN,
    ("GET", "/v1/introductions"): Role.VIEWER,
    ("POST", "/v1/introductions/approve"): Role.OPERATOR,
    ("POST", "/v1/introductions/reject"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/keys"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/token"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/revoke"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/suspend"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/resume"): Role.OPERATOR,
    ("GET", "/v1/tokens"): Role.ADMIN,
    ("POST", "/v1/tokens/{name}"): Role.ADMIN,
    ("POST", "/v1/tokens/{name}/rotate"): Role.ADMIN,
    ("POST", "/v1/tokens/{name}/revoke"): Role.ADMIN,
    ("POST", "/v1/followers/{name}/stolen"): Role.OPERATOR,
    ("GET", "/v1/followers/{name}/worklist"): Role.VIEWER,
    ("GET", "/v1/keys"): Role.VIEWER,
    ("GET", "/v1/keys/{name}"): Role.VIEWER,
    ("GET", "/v1/keys/{name}/where"): Role.VIEWER,
    ("POST", "/v1/keys/{name}/rollover"): Role.OPERATOR,
    ("POST", "/v1/keys/{name}/revoke"): Role.OPERATOR,
    ("POST", "/v1/keys/{name}/forget"): Role.OPERATOR,
    ("PUT", "/v1/keys/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/keys/{name}"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/bundle"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/receipt"): Role.OPERATOR,
}
