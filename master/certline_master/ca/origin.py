"""Which URLs belong to a CA: https, and on the host of its directory."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import FailureClass

MOST_URL_LENGTH = 2048

_PLAIN = re.compile(f"[!-~]{{1,{MOST_URL_LENGTH}}}")  # no space, no control character: it goes into a request line


@dataclass(frozen=True, slots=True)
class Origin:
    """A CA's host (lower case, without brackets) and port."""

    host: str
    port: int

    @classmethod
    def of_directory(cls, url: str) -> Self:
        """The origin of a directory URL. Raises CaUnreachable (FIX_CONFIGURATION) when it cannot be one."""
        parts = _split(url)
        if parts is not None and parts.scheme == "http":
            raise _wrong_directory(url, "is http: write an https URL, ACME is spoken over TLS only")
        if parts is None or parts.scheme != "https" or not parts.hostname:
            raise _wrong_directory(url, "is no https URL: write one such as https://ca.example/directory")
        if parts.username is not None:
            raise _wrong_directory(url, "holds a user name: remove it, ACME has none")
        return cls(parts.hostname, parts.port or 443)

    @property
    def authority(self) -> str:
        """What stands in a Host header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    def target(self, url: str) -> str:
        """Path and query of a URL on this origin.

        Raises CaRefused for any other URL: a CA must not be able to send us elsewhere (security note, T6).
        """
        parts = _split(url)
        if parts is None or (parts.scheme, parts.hostname, parts.port or 443, parts.username) != (
            "https",
            self.host,
            self.port,
            None,
        ):
            shown = ascii(url if len(url) <= 200 else url[:200] + "…")
            raise CaRefused(
                "foreignUrl",
                f"the URL {shown} is not on the host of the CA's directory ({self.authority}): nothing is sent there",
                FailureClass.FIX_CONFIGURATION,
            )
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _split(url: str) -> SplitResult | None:
    if _PLAIN.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts


def _wrong_directory(url: str, why: str) -> CaUnreachable:
    fault = CaUnreachable(f"the directory URL {url[:200]!a} {why}")
    fault.failure = FailureClass.FIX_CONFIGURATION
    return fault
