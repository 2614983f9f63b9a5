"""Rehearsals that an operator asks for on the master: done beside the turns, which they never hold up."""

import threading

from certline_follower import rehearsing
from certline_follower.host import Host, log


class Rehearsals:
    """Those that a daemon does, one after the other; each asking is followed once."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._seen: tuple[int, frozenset[str]] = (0, frozenset())

    def look(self, host: Host) -> None:
        """Begin what the manifest asks for, if nothing is under way."""
        wanted = asked(host)
        if not wanted or host.manifest is None or (self._thread is not None and self._thread.is_alive()):
            return
        mark = (host.manifest.serial, frozenset(wanted))
        if mark != self._seen:
            self._seen = mark
            self._thread = threading.Thread(target=_rehearse, args=(host, wanted), name="rehearsal", daemon=True)
            self._thread.start()


def asked(host: Host) -> tuple[str, ...]:
    """Lines of this host's file of which a rehearsal waits for its request."""
    known = {line.name for line in host.settings.lines}
    begun = host.manifest.rehearsals if host.manifest else ()
    return tuple(line.name for line in begun if line.csr_wanted and line.name in known)


def _rehearse(host: Host, lines: tuple[str, ...]) -> None:
    try:
        with rehearsing.prepared(host.settings, lines, host.clock, host.chance) as beside:
            if beside is not None:
                result = rehearsing.rehearse(beside, rehearsing.LONGEST)
                log.info("rehearsed", extra={"lines": list(lines), "well": result.well})
    except Exception as fault:  # noqa: BLE001 whatever becomes of a rehearsal, the daemon goes on
        log.warning("a rehearsal broke off: %s", fault)
