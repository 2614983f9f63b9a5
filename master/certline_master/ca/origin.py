"""Which URLs belong to a CA: https, and on the host of its directory."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.model import FailureClass
from certline_master.domain.outbound import BadHost, host_of

MOST_URL_LENGTH = 2048

_PLAIN = re.compile(f"[!-~]{{1,{MOST_URL_LENGTH}}}")  # no space, no control character: it goes into a request line


@dataclass(frozen=True, slots=True)
class Origin:
    """A CA's host (in normal form, without brackets) and port."""

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
        if parts.port == 0:
            raise _wrong_directory(url, "names port 0: write the port that the CA listens on")
        try:
            return cls(host_of(parts.hostname), parts.port or 443)
        except BadHost as why:
            raise _wrong_directory(url, f"cannot be used, for its host {why}") from None

    @property
    def authority(self) -> str:
        """What stands in a Host header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    @property
    def _ours(self) -> "list[tuple[str, str, int | None, None]]":
        """Scheme, host, port and user of our URLs; the usual port may be left out."""
        ports = [self.port, None] if self.port == 443 else [self.port]
        return [("https", self.host, port, None) for port in ports]

    def target(self, url: str) -> str:
        """Path and query of a URL on this origin.

        Raises CaRefused for any other URL: a CA must not be able to send us elsewhere (security note, T6).
        """
        parts = _split(url)
        if parts is None or (parts.scheme, _host(parts), parts.port, parts.username) not in self._ours:
            shown = ascii(url if len(url) <= 200 else url[:200] + "…")
            raise CaRefused(
                "foreignUrl",
                f"the URL {shown} is not on the host of the CA's directory ({self.authority}): nothing is sent there",
                FailureClass.FIX_CONFIGURATION,
            )
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(parts: SplitResult) -> str | None:
    try:
        return host_of(parts.hostname or "")
    except BadHost:
        return None


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
