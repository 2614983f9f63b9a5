"""Fetching an issued certificate in the chain that is preferred (RFC 8555 section 7.4.2)."""

import re

from cryptography import x509
from cryptography.x509.oid import NameOID

from certline_master.ca.accounts import Account
from certline_master.ca.transport import Answer
from certline_master.domain.errors import CaUnreachable

MOST_ALTERNATES = 8

_PEM_CHAIN = "application/pem-certificate-chain"
_LINK = re.compile(r"<([^<>]*)>([^<]*)")  # a target and its parameters (RFC 8288 section 3)
_ALTERNATE = re.compile(r';\s*rel\s*=\s*("alternate"|alternate)\s*([;,]|$)', re.IGNORECASE)
_LAST_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*\Z")


def fetch(account: Account, url: str, preferred: str | None) -> str:
    """The PEM chain: the first one whose topmost certificate was issued by `preferred` (a common name), else the CA's
    default. Raises CaUnreachable when it is no PEM."""
    answer = account.post("certificate", url, accept=_PEM_CHAIN)
    default = _pem(answer)
    if preferred is None or topmost_issuer(default) == preferred:
        return default
    for alternate in alternates(answer)[:MOST_ALTERNATES]:
        chain = _pem(account.post("certificate", alternate, accept=_PEM_CHAIN))
        if topmost_issuer(chain) == preferred:
            return chain
    return default


def alternates(answer: Answer) -> list[str]:
    """The URLs of the Link headers with the relation "alternate"."""
    links = (link for header in answer.all_of("link") for link in _LINK.finditer(header))
    return [link[1] for link in links if _ALTERNATE.search(link[2])]


def topmost_issuer(chain: str) -> str | None:
    """The common name of who issued the last certificate of a PEM chain; None when that cannot be read."""
    last = _LAST_BLOCK.search(chain)
    if last is None:
        return None
    try:
        issuer = x509.load_pem_x509_certificate(last[0].encode()).issuer
    except ValueError:
        return None
    found = issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def _pem(answer: Answer) -> str:
    kind = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != _PEM_CHAIN:
        raise CaUnreachable(f"the CA sent the certificate as {kind[:60]!a}, not as {_PEM_CHAIN}")
    try:
        return answer.body.decode("ascii")
    except UnicodeDecodeError:
        raise CaUnreachable("the CA sent a certificate that is not PEM text") from None
