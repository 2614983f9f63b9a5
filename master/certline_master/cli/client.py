"""The admin commands' way to the master: its REST API. The master's only importer of httpx."""

import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from certline_master.cli.failures import REFUSED, UNREACHABLE, WRONG, CommandFailed

PROFILE = "admin.toml"
TIMEOUT = 90.0  # a plan asks the CAs' directories


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """Where the master is and how to prove who asks."""

    url: str
    token: str
    ca_file: Path | None = None


def find_profile(url: str | None, token_file: str | None, ca_file: str | None, settings: Path | None) -> Profile:
    """From the options, else the environment, else the profile that `certline init` wrote beside the settings.

    Raises CommandFailed, saying what was looked for.
    """
    url = url or os.environ.get("CERTLINE_URL")
    token_file = token_file or os.environ.get("CERTLINE_TOKEN_FILE")
    ca_file = ca_file or os.environ.get("CERTLINE_CA_FILE")
    if url and token_file:
        return Profile(url, _read(Path(token_file)), Path(ca_file) if ca_file else None)
    if url or token_file:
        raise CommandFailed("--url and --token-file go together (or CERTLINE_URL and CERTLINE_TOKEN_FILE)", WRONG)
    if settings is None or not (settings.parent / PROFILE).is_file():
        where = f" (looked for {settings.parent / PROFILE})" if settings else ""
        text = f"no master to ask: give --url and --token-file, or run this where `certline init` was run{where}"
        raise CommandFailed(text, WRONG)
    return _load(settings.parent / PROFILE)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise CommandFailed(f"{path}: cannot be read: {fault.strerror}", WRONG) from fault


def _load(path: Path) -> Profile:
    try:
        raw = tomllib.loads(_read(path))
        return Profile(raw["url"], raw["token"], path.parent / raw["ca_file"] if "ca_file" in raw else None)
    except (tomllib.TOMLDecodeError, KeyError) as fault:
        text = f"{path}: is not a profile ({fault}); make one with `certline token create`"
        raise CommandFailed(text, WRONG) from fault


class AdminClient:
    """Asks the master; problems become CommandFailed with the text a person needs."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        try:
            context = ssl.create_default_context(cafile=str(profile.ca_file) if profile.ca_file else None)
        except (OSError, ssl.SSLError) as fault:
            raise CommandFailed(f"{profile.ca_file}: is not a file of CA certificates: {fault}", WRONG) from fault
        self._http = httpx.Client(
            base_url=profile.url,
            verify=context,
            timeout=TIMEOUT,
            trust_env=False,
            headers={"Authorization": f"Bearer {profile.token}"},
        )

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        return self.ask("GET", path, params=params)

    def post(self, path: str, body: Any = None) -> Any:
        return self.ask("POST", path, body=body)

    def ask(self, method: str, path: str, *, body: Any = None, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON answer, None for an empty one. Raises CommandFailed (ProblemFailed with the problem document)."""
        try:
            answer = self._http.request(method, path, json=body, params=params)
        except httpx.UnsupportedProtocol as fault:
            raise CommandFailed(f"{self._profile.url}: is not a URL of a master (https://NAME:PORT)", WRONG) from fault
        except httpx.HTTPError as fault:
            raise CommandFailed(f"cannot reach the master at {self._profile.url}: {fault}", UNREACHABLE) from fault
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _failure(answer)


class ProblemFailed(CommandFailed):
    """The master's refusal, with its problem document (RFC 9457)."""

    def __init__(self, text: str, code: int, problem: Mapping[str, Any]) -> None:
        super().__init__(text, code)
        self.problem = problem


def _failure(answer: httpx.Response) -> CommandFailed:
    try:
        problem = answer.json()
        text = str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return CommandFailed(f"the master answered {answer.status_code} without a reason", UNREACHABLE)
    if answer.status_code >= 500:
        return ProblemFailed(text, UNREACHABLE, problem)
    wrong = answer.status_code in (400, 413, 422)
    return ProblemFailed(text, WRONG if wrong else REFUSED, problem)
