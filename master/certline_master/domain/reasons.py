"""Why a line needs another version, and when each certificate is due for it. Pure."""

from datetime import datetime

from certline_master.domain.model import Certificate, Custody, Line, LineSnapshot, Renewal, Version, VersionState
from certline_master.domain.renewal import by_policy, without_window
from certline_master.domain.wish import asks_changed, custody_changed, fitting_requests, went_back


def live_of(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)


def reason_to_issue(snapshot: LineSnapshot, live: Version | None, now: datetime) -> str | None:
    line = snapshot.line
    if live is None:
        newest = snapshot.versions[0].state if snapshot.versions else None
        return "the last one was revoked" if newest is VersionState.REVOKED else "the first certificate"
    if went_back(live, snapshot):
        return _new_key(snapshot, live) or reason_by_age(line, live, now)
    held = {certificate.key_type: certificate for certificate in live.certificates}
    names = set(live.certificates[0].names)
    if names != set(line.names):
        return f"the names changed: {_difference(names, set(line.names))}"
    if set(held) != set(line.key_types):
        return "the key types changed"
    new_key = _new_key(snapshot, live)
    if new_key:
        return new_key
    asked = asks_changed(live, snapshot)
    if asked:
        return asked
    return reason_by_age(line, live, now)


def reason_by_age(line: Line, live: Version, now: datetime) -> str | None:
    due = [renewal for renewal in renewals_of(live, line) if renewal.at <= now]
    if due:
        return f"renewal: {due[0].reason}"
    if any(c.not_after and c.not_after <= now for c in live.certificates):
        return "it has expired"
    return "asked for by hand" if line.forced else None


def _new_key(snapshot: LineSnapshot, live: Version) -> str | None:
    """Why the live version's key is not the one to be used."""
    changed = custody_changed(live, snapshot)
    if changed:
        return changed
    held = {certificate.key_type: certificate.spki_sha256 for certificate in live.certificates}
    if snapshot.line.custody is Custody.MASTER:
        return None if snapshot.current_keys.issuperset(held.values()) else "the key is replaced"
    differs = any(csr.spki_sha256 != held.get(csr.key_type) for csr in fitting_requests(snapshot))
    return "the follower has a new key" if differs else None


def _difference(old: set[str], new: set[str]) -> str:
    parts = [f"+{name}" for name in sorted(new - old)] + [f"-{name}" for name in sorted(old - new)]
    return " ".join(parts)


def renewals_of(live: Version, line: Line) -> list[Renewal]:
    """When each certificate is to be renewed, by the line's policy, as far as it is known."""
    return [renewal for one in live.certificates if (renewal := renewal_of(one, line))]


def renewal_of(certificate: Certificate, line: Line) -> Renewal | None:
    """Of a certificate that may not be asked about any more the time follows from its lifetime: its successor's order
    may have failed.
    """
    if certificate.not_before is None or certificate.not_after is None:
        return certificate.renewal
    chosen = certificate.renewal
    if chosen is None and certificate.replaced:
        chosen = without_window(certificate.not_before, certificate.not_after, next_check=None)
    return by_policy(chosen, line.options, certificate.not_before, certificate.not_after) if chosen else None
