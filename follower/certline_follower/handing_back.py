"""A master that went back in time: it is told so, and shown what it lost, before anything here follows it."""

import logging

from certline_follower.host import Host
from certline_follower.master_client import AGENT
from certline_follower.master_faults import MasterFault, Unreachable
from certline_shared.certificates import BadChain, read_chain
from certline_shared.failpoints import failpoint
from certline_shared.manifest import Manifest, ManifestLine
from certline_shared.messages import Report, VersionContent

log = logging.getLogger("certline.follower")


def tell_behind(host: Host) -> None:
    """Its manifest is older than what we followed, and only we know: it raises an alarm."""
    said = Report(AGENT, host.state.serial, (), epoch=host.state.epoch or None, seq=host.next_sequence())
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
    newer = [found for line in manifest.lines if (found := _newer(host, line)) is not None]
    taken = [_was_taken(host, content) for content in newer]
    return any(taken)


def _newer(host: Host, line: ManifestLine) -> VersionContent | None:
    """A version higher than what is offered, and still good."""
    pulled = host.state.line(line.name).pulled
    setting = next((one for one in host.settings.lines if one.name == line.name), None)
    if pulled is None or setting is None or line.custody is not None or pulled.number <= (line.version or 0):
        return None
    try:
        chain = host.material.chain(line.name, pulled, setting.key_type)
        if read_chain(chain).not_after <= host.now():
            return None
    except (OSError, BadChain):
        return None
    return VersionContent(line.name, pulled.number, {f"{setting.key_type}/chain.pem": chain})


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
