"""`certline init --with-follower`: enrols a follower on the master's own machine, over loopback."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from certline_master import settings, settings_sections
from certline_master.cli.client import PROFILE, AdminClient, ProblemFailed, load_profile
from certline_master.cli.failures import FAILED, REFUSED, CommandFailed
from certline_master.cli.local_follower import program
from certline_master.files import write_whole
from certline_master.settings import Settings
from certline_shared.clock import SystemClock

NAME = "local"
TOKEN_SECONDS = 300
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.05

_SETTINGS = """\
# The follower on the master's own machine; `certline serve` runs it. Relative paths count from this file's folder.
# What it installs is said here: `certline-follower config example` shows how.
state_dir = "state"

[master]
url = "{origin}"
"""


def local_origin(listen: str) -> str:
    """The origin under which a follower on this machine reaches the API that listens there."""
    return settings_sections.origin(f"https://localhost:{listen.rpartition(':')[2]}")


def add(settings_path: Path, echo: Callable[[str], object]) -> None:
    """Make and enrol the follower `local`, and have `serve` run it; may be repeated.

    Raises CommandFailed, SettingsError and OSError.
    """
    origin = local_origin(settings.load(settings_path).api.listen)
    added = _allow(settings_path, origin)
    config = settings_path.parent / "follower" / "certline-follower.toml"
    if not config.exists():
        config.parent.mkdir(mode=0o755, exist_ok=True)
        write_whole(config, _SETTINGS.format(origin=origin).encode(), mode=0o644)
    with AdminClient(load_profile(settings_path.parent / PROFILE)) as client, _serving(settings_path, client) as ours:
        if added and not ours:
            text = f"{origin} was added to the origins: restart `certline serve`, then run this once more"
            raise CommandFailed(text, REFUSED)
        _enrol(config, _enrolment_string(client, origin))
    _edit(settings_path, lambda text: _with_follower(text, config.relative_to(settings_path.parent)), _runs_follower)
    echo(f"follower     {config}, enrolled as {NAME}; `certline serve` runs it")


def _allow(path: Path, origin: str) -> bool:
    """Add an origin to the settings; tells whether it had to be."""
    if origin in settings.load(path).api.origins:
        return False
    _edit(path, lambda text: _with_origin(text, origin), lambda found: origin in found.api.origins)
    return True


def _with_origin(text: str, origin: str) -> str:
    return re.sub(r"(?m)^(origins\s*=\s*\[[^\]\n]*?),?\s*\]", rf'\1, "{origin}"]', text, count=1)


def _with_follower(text: str, config: Path) -> str:
    return f'{text.rstrip()}\n\n[local_follower]\nconfig = "{config}"\n'


def _runs_follower(found: Settings) -> bool:
    return found.local_follower.config is not None


def _edit(path: Path, change: Callable[[str], str], holds: Callable[[Settings], bool]) -> None:
    """Change the settings file, which a person may have rewritten: what does not come out as meant is not kept."""
    beside = path.with_name(f".{path.name}.changed")
    mode = path.stat().st_mode & 0o777
    try:
        write_whole(beside, change(path.read_text(encoding="utf-8")).encode(), mode=mode)
        if not holds(settings.load(beside)):
            raise settings.SettingsError("the change had no effect")
        beside.replace(path)
    except settings.SettingsError as fault:
        text = f"{path}: is not as `certline init` writes it, so it was left alone: {fault}"
        raise CommandFailed(text, REFUSED) from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _serving(settings_path: Path, client: AdminClient) -> Iterator[bool]:
    """A master that answers: the one that runs already, else one of ours for the moment. Tells whether it is ours."""
    if client.answers():
        yield False
        return
    with TemporaryFile() as output:
        child = subprocess.Popen(
            [program("certline"), "--config", str(settings_path), "serve"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            _wait_until_it_answers(child, client, output)
            yield True
        finally:
            _end(child)


def _wait_until_it_answers(child: "subprocess.Popen[bytes]", client: AdminClient, output: IO[bytes]) -> None:
    clock, never = SystemClock(), threading.Event()
    deadline = clock.monotonic() + START_SECONDS
    while not client.answers():
        if child.poll() is not None or clock.monotonic() > deadline:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            raise CommandFailed(f"`certline serve` did not come up for the enrolment: {said}", FAILED)
        clock.pause(LOOK_SECONDS, never)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _enrolment_string(client: AdminClient, origin: str) -> str:
    """For this machine it names the local origin, whatever the one for other hosts is."""
    replaces = _found_or_made(client)["state"] == "active"
    body = {"ttl_seconds": TOKEN_SECONDS, "replace": replaces, "origin": origin}
    return str(client.post(f"/v1/followers/{NAME}/token", body)["enrolment"])


def _found_or_made(client: AdminClient) -> dict[str, Any]:
    try:
        return dict(client.get(f"/v1/followers/{NAME}"))
    except ProblemFailed as refused:
        if refused.status != 404:
            raise
    client.put(f"/v1/followers/{NAME}", {"grants": {"request": []}})
    return dict(client.get(f"/v1/followers/{NAME}"))


def _enrol(config: Path, token: str) -> None:
    """The token goes by standard input: arguments are seen by every user."""
    command = [program("certline-follower"), "--config", str(config), "enroll", "--token-file", "-", "--replace"]
    done = subprocess.run(command, input=token, text=True, capture_output=True, check=False)
    if done.returncode:
        raise CommandFailed(f"the follower on this machine could not be enrolled: {done.stderr.strip()}", FAILED)
