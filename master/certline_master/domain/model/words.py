"""The states and kinds of things, as words."""

from enum import StrEnum


class Owner(StrEnum):
    """Who may change an object: `apply` touches only what the file owns."""

    FILE = "file"
    API = "api"
    FOLLOWER = "follower"


class Custody(StrEnum):
    FOLLOWER = "follower"
    MASTER = "master"


class VersionState(StrEnum):
    ORDERED = "ordered"
    STAGED = "staged"
    LIVE = "live"
    RETIRED = "retired"
    REVOKED = "revoked"
    FAILED = "failed"


class OrderState(StrEnum):
    """Where an order is in its journal; see issuance.MOVES."""

    PLANNED = "planned"
    KEYED = "keyed"
    OPENED = "opened"
    PUBLISHING = "publishing"
    VISIBLE = "visible"
    ANSWERED = "answered"
    READY = "ready"
    FINALIZED = "finalized"
    ISSUED = "issued"
    FAILED = "failed"


class FailureClass(StrEnum):
    """Who has to act before another try makes sense."""

    RETRY_SOON = "retry-soon"
    RETRY_AT = "retry-at"
    FIX_CONFIGURATION = "fix-configuration"
    NEEDS_PERSON = "needs-person"


class ChallengeState(StrEnum):
    INTENDED = "intended"
    PRESENT = "present"
    VISIBLE = "visible"
    ANSWERED = "answered"
    REMOVED = "removed"


class ChallengeType(StrEnum):
    DNS_01 = "dns-01"
    HTTP_01 = "http-01"


class FollowerState(StrEnum):
    INVITED = "invited"  # created, its token not used yet
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class DeploymentState(StrEnum):
    WANTED = "wanted"
    STAGED = "staged"  # pulled ahead of its time; it counts as nothing more until it is live
    PULLED = "pulled"
    INSTALLED = "installed"
    RELOADED = "reloaded"
    SERVED = "served"


class GrantKind(StrEnum):
    REQUEST = "request"  # ask for certificates of exactly this name
    PULL = "pull"  # pull the line of this name, with its key where the master keeps that
