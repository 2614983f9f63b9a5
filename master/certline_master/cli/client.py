"""The admin commands' way to the master: its REST API. The master's only importer of httpx."""

import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from certline_master.cli.failures import REFUSED, UNREACHABLE, WRONG, CommandFailed
from certline_master.settings import SettingsError, find

PROFILE = "admin.toml"
TIMEOUT = httpx.Timeout(90.0, connect=10.0)  # a plan asks the CAs' directories

_WRONG_INPUT = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the master is and how to prove who asks."""

    url: str
    token: str = field(repr=False)
    ca_file: Path | None = None


def find_profile(url: str | None, token_file: str | None, ca_file: str | None, config: str | None) -> Profile:
    """From the options, else the environment, else the profile that `certline init` wrote beside the settings.

    `config` is the option of that name. Raises CommandFailed, saying what was looked for.
    """
    url = url or os.environ.get("CERTLINE_URL")
    token_file = token_file or os.environ.get("CERTLINE_TOKEN_FILE")
    ca_file = ca_file or os.environ.get("CERTLINE_CA_FILE")
    if url and token_file:
        return Profile(url.rstrip("/"), _read(Path(token_file)), Path(ca_file) if ca_file else None)
    if url or token_file:
        raise CommandFailed("--url and --token-file go together (or CERTLINE_URL and CERTLINE_TOKEN_FILE)", WRONG)
    try:
        path = find(config).parent / PROFILE
    except SettingsError as fault:
        text = f"no master to ask: give --url and --token-file, or run this where `certline init` was run ({fault})"
        raise CommandFailed(text if config is None else str(fault), WRONG) from None
    if not path.exists():
        raise CommandFailed(f"no master to ask: there is no {path}; give --url and --token-file", WRONG)
    return load_profile(path)


def load_profile(path: Path) -> Profile:
    """Raises CommandFailed."""
    advice = "it holds `url` and `token`, and `ca_file` where the API's CA is not public"
    try:
        raw = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as fault:
        raise CommandFailed(f"{path}: is not TOML: {fault}; {advice}", WRONG) from None
    if not all(isinstance(raw.get(name), str) for name in ("url", "token")):
        raise CommandFailed(f"{path}: is not a whole profile: {advice}", WRONG)
    return Profile(raw["url"], raw["token"], path.parent / str(raw["ca_file"]) if "ca_file" in raw else None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise CommandFailed(f"{path}: cannot be read: {fault.strerror}", WRONG) from None
    except UnicodeDecodeError:
        raise CommandFailed(f"{path}: is not UTF-8 text", WRONG) from None


class ProblemFailed(CommandFailed):
    """The master's refusal, with its problem document (RFC 9457)."""

    def __init__(self, text: str, code: int, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(text, code)
        self.status, self.problem = status, problem


class AdminClient:
    """Asks the master; problems become CommandFailed with the text a person needs."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        if not (profile.token.isascii() and profile.token.isprintable() and profile.token):
            raise CommandFailed("the admin token is empty or has characters that none has: copy it once more", WRONG)
        try:
            self._http = httpx.Client(
                base_url=profile.url,
                verify=_tls(profile),
                timeout=TIMEOUT,
                trust_env=False,
                headers={"Authorization": f"Bearer {profile.token}"},
            )
        except httpx.InvalidURL:
            raise self._no_url() from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        return self.ask("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        return self.ask("POST", path, body={} if body is None else body)

    def put(self, path: str, body: Any) -> Any:
        return self.ask("PUT", path, body=body)

    def delete(self, path: str) -> Any:
        return self.ask("DELETE", path)

    def answers(self) -> bool:
        """Whether a master answers there at all."""
        try:
            return self._http.get("/healthz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def ask(self, method: str, path: str, *, body: Any = None, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON answer, None for an empty one. Raises CommandFailed (ProblemFailed with the problem document)."""
        try:
            answer = self._http.request(method, path, json=body, params=params)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise self._no_url() from None
        except httpx.HTTPError as fault:
            raise CommandFailed(self._why_away(fault), UNREACHABLE) from None
        found = _json(answer)
        if answer.is_success and (found is not None or not answer.content):
            return found
        raise self._failure(answer.status_code, found)

    def _why_away(self, fault: httpx.HTTPError) -> str:
        said = str(fault) or type(fault).__name__
        trust = "; name its CA with --ca-file" if "CERTIFICATE_VERIFY_FAILED" in said else ""
        return f"cannot reach the master at {self._profile.url}: {said}{trust}"

    def _no_url(self) -> CommandFailed:
        return CommandFailed(f"{self._profile.url}: is not a URL of a master (https://NAME:PORT)", WRONG)

    def _failure(self, status: int, problem: Any) -> CommandFailed:
        if not isinstance(problem, dict) or "title" not in problem:
            text = f"{self._profile.url} answered {status}, and not as a certline master does: is it another service?"
            return CommandFailed(text, UNREACHABLE)
        if status == 401:
            text = f"the master at {self._profile.url} refuses this admin token: unknown, or expired"
            return ProblemFailed(text, REFUSED, status, problem)
        code = UNREACHABLE if status >= 500 else WRONG if status in _WRONG_INPUT else REFUSED
        return ProblemFailed(str(problem.get("detail") or problem["title"]), code, status, problem)


def _tls(profile: Profile) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(profile.ca_file) if profile.ca_file else None)
    except OSError as fault:  # ssl.SSLError is one
        why = fault.strerror if fault.errno and not isinstance(fault, ssl.SSLError) else "holds no CA certificate (PEM)"
        raise CommandFailed(f"{profile.ca_file}: {why}", WRONG) from None


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return None
