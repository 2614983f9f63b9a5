"""A master that went back in time: it is told so, and shown what it lost, before anything here follows it."""

import logging
from collections.abc import Sequence
from datetime import datetime

from certline_follower.faults import InstallFault
from certline_follower.generation import LineMaterial
from certline_follower.host import Host
from certline_follower.master_client import AGENT
from certline_follower.master_faults import MasterFault, Unreachable
from certline_shared.certificates import BadChain, read_chain
from certline_shared.failpoints import failpoint
from certline_shared.manifest import Manifest, ManifestLine
from certline_shared.messages import Report, VersionContent

log = logging.getLogger("certline.follower")


def tell_behind(host: Host, offered: int) -> None:
    """Its manifest is older than what we followed, and only we know: it raises an alarm.

    A database that went back may have come to our serial again, with other content under it: then it is told that we
    are past the serial that it offered.
    """
    serial = max(host.state.serial, offered + 1)
    said = Report(AGENT, serial, (), epoch=host.state.epoch or None, seq=host.next_sequence())
    try:
        host.client.report(said)
    except MasterFault:
        log.info("the master could not be told that it went back in time")


def hand_back(host: Host, manifest: Manifest) -> bool:
    """Show it the versions that it lost; whether it took any, so that its manifest is to be asked for anew.

    Only at a new epoch, and only what is for this host's own keys. Raises Unreachable: nothing is followed before it
    was asked.
    """
    if not 0 < host.state.epoch < manifest.epoch:
        return False
    try:
        here = host.installer.materials()
    except InstallFault:
        return False
    found = [_newer(line, here[line.name], host.now()) for line in manifest.lines if line.name in here]
    taken = [_was_taken(host, content) for content in found if content is not None]
    return any(taken)


def _newer(line: ManifestLine, here: Sequence[LineMaterial], now: datetime) -> VersionContent | None:
    """What is installed of the line, if it is higher than what is offered, for keys of this host, and still good."""
    version = max(one.version for one in here)
    if line.custody is not None or any(one.is_copy for one in here) or version <= (line.version or 0):
        return None
    newest = [one for one in here if one.version == version]
    if not all(_is_good(one.chain_pem, now) for one in newest):
        return None
    return VersionContent(line.name, version, {f"{one.key_type}/chain.pem": one.chain_pem for one in newest})


def _is_good(chain: str, now: datetime) -> bool:
    try:
        return read_chain(chain).not_after > now
    except BadChain:
        return False


def _was_taken(host: Host, content: VersionContent) -> bool:
    try:
        host.client.hand_back(content)
    except Unreachable:
        raise
    except MasterFault as refused:
        log.warning("the master does not take back a version", extra={"line": content.line, "reason": str(refused)})
        return False
    failpoint("version.handed-back")
    log.info("the master took back a version it had lost", extra={"line": content.line, "version": content.version})
    return True
