"""The ports: everything the master knows of the world outside its own decisions.

Store and Records are kept by `store`, CertificateAuthority by `ca`, Solver and DnsView by `challenges`. Every
repository method takes the caller first; what is missing and what is not the caller's look the same (NotFound, or
absent from a list). A follower sees only itself, its own lines and those that it was granted; viewers read, operators
and admins write, SYSTEM does everything.
"""

from certline_master.domain.ports.authorities import (
    AuthorizationView,
    CertificateAuthorities,
    CertificateAuthority,
    ChallengeView,
    Directory,
    OrderView,
    RenewalWindow,
)
from certline_master.domain.ports.challenges import DnsView, Solver, Visibility
from certline_master.domain.ports.dane import TlsaRecords, TlsaSight, TlsaView, TlsaWriter
from certline_master.domain.ports.hosts import (
    Counted,
    EnrolmentToken,
    FollowerRecords,
    GroupRecords,
    IdentityRecords,
    IntroductionRecords,
)
from certline_master.domain.ports.keys import KeyRecords, RevocationRecords
from certline_master.domain.ports.lines import LineRecords, StandingRecords, VersionRecords, WaveRecords
from certline_master.domain.ports.orders import OrderRecords
from certline_master.domain.ports.setup import (
    EventRecords,
    HttpRecords,
    InstanceRecords,
    IssuerRecords,
    SealRecords,
    SecretRecords,
    TokenRecords,
    ZoneRecords,
)
from certline_master.domain.ports.store import Bell, Records, Store

__all__ = [
    "AuthorizationView",
    "Bell",
    "CertificateAuthorities",
    "CertificateAuthority",
    "ChallengeView",
    "Counted",
    "Directory",
    "DnsView",
    "EnrolmentToken",
    "EventRecords",
    "FollowerRecords",
    "GroupRecords",
    "HttpRecords",
    "IdentityRecords",
    "InstanceRecords",
    "IntroductionRecords",
    "IssuerRecords",
    "KeyRecords",
    "LineRecords",
    "OrderRecords",
    "OrderView",
    "Records",
    "RenewalWindow",
    "RevocationRecords",
    "SealRecords",
    "SecretRecords",
    "Solver",
    "StandingRecords",
    "Store",
    "TlsaRecords",
    "TlsaSight",
    "TlsaView",
    "TlsaWriter",
    "TokenRecords",
    "VersionRecords",
    "Visibility",
    "WaveRecords",
    "ZoneRecords",
]
