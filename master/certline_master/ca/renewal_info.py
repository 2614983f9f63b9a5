"""ACME renewal information (RFC 9773): when the CA would like a certificate to be renewed."""

from datetime import datetime, timedelta

from certline_master.ca.endpoint import Endpoint
from certline_master.ca.problems import MOST_WAIT, failure_of, read_object, retry_after
from certline_master.ca.transport import Answer
from certline_master.ca.views import read_page, read_time
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.ports import RenewalWindow
from certline_shared.certificates import BadChain, ari_certificate_id

NEXT_CHECK = timedelta(hours=6)  # RFC 9773 section 4.3.3
LEAST_CHECK = timedelta(minutes=1)


def fetch(endpoint: Endpoint, chain: str) -> RenewalWindow | None:
    """The window for a PEM chain's leaf; None when CA or certificate have no renewal information.

    Raises CaUnreachable with the next time to ask: six hours on when the answer is of no use (section 4.3.3); without a
    time when the CA did not answer, which is tried again with back-off.
    """
    listing = endpoint.directory()
    if "renewalInfo" not in listing.urls:
        return None
    try:
        certificate_id = ari_certificate_id(chain)
    except BadChain:
        return None
    url = f"{listing.urls['renewalInfo'].rstrip('/')}/{certificate_id}"
    return _window(endpoint, endpoint.send("renewalInfo", "GET", url, accept="application/json"))


def _window(endpoint: Endpoint, answer: Answer) -> RenewalWindow:
    now = endpoint.now()
    if answer.status >= 500:
        raise failure_of(answer, now)
    asked_for = retry_after(answer, now, least=LEAST_CHECK, most=MOST_WAIT)
    if answer.status != 200:
        detail = f"the CA gave no renewal information: {failure_of(answer, now)}"
        raise CaUnreachable(detail, asked_for or now + NEXT_CHECK)
    window = _read(answer)
    if window is None:
        raise CaUnreachable("the CA's renewal window is none: it needs a start before its end", now + NEXT_CHECK)
    start, end, page = window
    return RenewalWindow(start, end, page, next_check=asked_for or now + NEXT_CHECK)


def _read(answer: Answer) -> tuple[datetime, datetime, str | None] | None:
    """Start, end and page for people; None for what is no window (section 4.2)."""
    try:
        found = read_object(answer, "renewal information")
    except CaUnreachable:
        return None
    window = found.get("suggestedWindow")
    if not isinstance(window, dict):
        return None
    start, end = read_time(window.get("start")), read_time(window.get("end"))
    if start is None or end is None or end <= start:
        return None
    return start, end, read_page(found.get("explanationURL"))
