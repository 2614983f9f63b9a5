"""Whether every authoritative server of a zone shows the wished TXT records: each is asked itself, without a cache."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from certline_master.challenges.asking import NoAnswer, ask_txt
from certline_master.challenges.dns01 import wished
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.zone_settings import LookSettings
from certline_master.domain.errors import SolverError
from certline_master.domain.model import Challenge, Zone
from certline_master.domain.ports import Visibility
from certline_shared.clock import Clock

MOST_SERVERS = 32
MOST_ADDRESSES = 8
SECONDS_PER_SERVER = 20.0

Wishes = Mapping[str, Sequence[str]]
"""Record name → TXT values."""


class _Lacks(NoAnswer):
    """The server answers, but does not show what is wished."""


class AuthoritativeLook:
    """One look at all servers of a zone, at the same time. Thread-safe. `port`: that of servers found by NS records."""

    def __init__(self, resolver: Resolver, clock: Clock, *, port: int = 53) -> None:
        self._resolver, self._clock, self._port = resolver, clock, port

    def look(self, zone: Zone, settings: LookSettings, challenges: Sequence[Challenge]) -> Visibility:
        """Raises SolverError when the zone's servers cannot be found."""
        wishes = wished(challenges)
        if settings.visibility == "none" or not wishes:
            return Visibility(complete=True)
        servers = self._servers(zone, settings)
        with ThreadPoolExecutor(len(servers), thread_name_prefix="look") as pool:
            found = pool.map(lambda server: self._lack(server, wishes), servers)
        lacks = [lack for lack in found if lack is not None]
        enough = 2 * len(lacks) < len(servers) if settings.visibility == "quorum" else not lacks
        return Visibility(complete=enough, detail="; ".join(lacks))

    def _servers(self, zone: Zone, settings: LookSettings) -> Sequence[Endpoint | str]:
        """Where the zone's settings say, else the hosts of its NS records."""
        if settings.nameservers:
            return settings.nameservers
        apex = self._resolver.apex(zone.name)
        hosts = self._resolver.name_servers(apex)[:MOST_SERVERS]
        if not hosts:
            raise SolverError(f"{apex} lists no name servers (NS records)")
        return hosts

    def _lack(self, server: Endpoint | str, wishes: Wishes) -> str | None:
        """What keeps this server from counting; None when it shows all, on each address that we can reach."""
        try:
            if isinstance(server, Endpoint):
                return self._lack_at([server], str(server), wishes)
            addresses = self._resolver.addresses(server)[:MOST_ADDRESSES]
        except SolverError as error:
            return f"name server {error}"
        return self._lack_at([Endpoint(address, self._port) for address in addresses], server, wishes)

    def _lack_at(self, endpoints: Sequence[Endpoint], server: str, wishes: Wishes) -> str | None:
        """An address that is silent is made up for by another of the same server: so a CA does it, and most masters
        have no way to IPv6 addresses. One that answers without a record is not."""
        shown, silent = False, []
        for endpoint in endpoints:
            who = server if server == str(endpoint) else f"{server} ({endpoint.address})"
            try:
                self._ask_for_all(endpoint, wishes)
                shown = True
            except _Lacks as error:
                return f"{who} {error}"
            except NoAnswer as error:
                silent.append(f"{who} {error}")
        return None if shown else "; ".join(silent) or f"name server {server} has no address"

    def _ask_for_all(self, endpoint: Endpoint, wishes: Wishes) -> None:
        """Raises NoAnswer at the first record that is not as wished."""
        give_up_at = self._clock.monotonic() + SECONDS_PER_SERVER
        for record, values in wishes.items():
            if self._clock.monotonic() > give_up_at:
                raise NoAnswer(f"is too slow: {len(wishes)} records took more than {SECONDS_PER_SERVER:g} s")
            if set(values) - ask_txt(endpoint, record):
                raise _Lacks(f"does not show {record} yet")
