"""The things certline deals with, as frozen dataclasses. Ids are UUID texts, times aware UTC, names in normal form."""

from certline_master.domain.model.hosts import Deployment, Follower, Grant, Group, Introduction
from certline_master.domain.model.lines import (
    Certificate,
    Failure,
    Line,
    LineCsr,
    LineSnapshot,
    Renewal,
    Rollout,
    Version,
)
from certline_master.domain.model.orders import Challenge, Lease, Order, OrderWork
from certline_master.domain.model.setup import ZONE_SECRET, AdminToken, Event, HttpName, Issuer, Zone
from certline_master.domain.model.words import (
    ChallengeState,
    ChallengeType,
    Custody,
    DeploymentState,
    FailureClass,
    FollowerState,
    GrantKind,
    OrderState,
    Owner,
    VersionState,
)

__all__ = [
    "ZONE_SECRET",
    "AdminToken",
    "Certificate",
    "Challenge",
    "ChallengeState",
    "ChallengeType",
    "Custody",
    "Deployment",
    "DeploymentState",
    "Event",
    "Failure",
    "FailureClass",
    "Follower",
    "FollowerState",
    "Grant",
    "GrantKind",
    "Group",
    "HttpName",
    "Introduction",
    "Issuer",
    "Lease",
    "Line",
    "LineCsr",
    "LineSnapshot",
    "Order",
    "OrderState",
    "OrderWork",
    "Owner",
    "Renewal",
    "Rollout",
    "Version",
    "VersionState",
    "Zone",
]
