"""The server of the API behind its door, for a master that serves and for one that is sealed."""

import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from certline_master.settings_sections import Api

if TYPE_CHECKING:
    from certline_master.server import ApiServer

log = logging.getLogger("certline.serve")


def api_server(
    settings: Api,
    app: Any,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    *,
    stopping: Callable[[], None] = lambda: None,
) -> "ApiServer":
    """Behind a door with as much room as was asked for, or as this process may have."""
    from certline_master import server
    from certline_master.api.forwarded import TrustedProxies, is_loopback
    from certline_master.door import Door, raise_file_limit, room
    from certline_master.places import Places

    proxies, connections = TrustedProxies(settings.trusted_proxies), room(settings.connections, raise_file_limit())
    if connections < settings.connections:
        said = {"connections": connections, "wished": settings.connections}
        log.warning("this process may not open enough files for api.connections; raise LimitNOFILE", extra=said)

    def is_ours(address: str) -> bool:
        return address in proxies or is_loopback(address)

    places = Places(connections, share=is_ours)
    door = Door(listener, tls, places, unwelcome=lambda address: tls is None and not is_ours(address))
    return server.ApiServer(app, door, stopping=stopping)
