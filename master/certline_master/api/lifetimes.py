"""How long the certificates of lines really live, of those whose policy for renewal depends on it."""

from collections.abc import Mapping
from datetime import timedelta

from certline_master.domain.access import SYSTEM
from certline_master.domain.fleet import Current, DesiredFleet
from certline_master.domain.ports import Records

AT_ONCE = 500


def live_lifetimes(records: Records, wanted: DesiredFleet, current: Current) -> Mapping[str, timedelta]:
    """By line; the shortest of its live version."""
    asking = {name for name, line in wanted.lines.items() if line.options.renew_before or line.options.renew_after}
    names = {line.id: line.name for line in current.lines if line.name in asking}
    found: dict[str, timedelta] = {}
    ids = list(names)
    for start in range(0, len(ids), AT_ONCE):
        for line_id, version in records.versions.live(SYSTEM, ids[start : start + AT_ONCE]).items():
            lived = [one.not_after - one.not_before for one in version.certificates if one.not_before and one.not_after]
            if lived:
                found[names[line_id]] = min(lived)
    return found
