"""Find a Pebble that is new enough, or fetch Debian sid's package into the cache without touching the system."""

import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.program import TestbedError, run

HOW_TO_INSTALL = (
    "Pebble 2.10 or newer is needed: put `pebble` and `pebble-challtestsrv` on PATH or name the first by PEBBLE "
    "(CONTRIBUTING.md says where to get them)"
)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PebbleBinaries:
    """Paths of the CA and of its companion, the challenge test server."""

    pebble: Path
    challtestsrv: Path


def to_stderr(line: str) -> None:
    """The usual `Report`: one line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


@functools.cache
def find_pebble(report: Report = to_stderr) -> PebbleBinaries:
    """The first usable pair of $PEBBLE, PATH, cache and download, looked for once in a process.

    TestbedError says in one line what to install.
    """
    named = os.environ.get("PEBBLE")
    if named:
        if not _is_new_enough(Path(named)):
            raise TestbedError(f"PEBBLE names {named}, which does not start or is too old. {HOW_TO_INSTALL}")
        return _companion(Path(named), report)
    for candidate in _candidates():
        if _is_new_enough(candidate):
            return _companion(candidate, report)
        report(f"pebble: {candidate} is too old (its directory lacks renewalInfo or profiles)")
    return _download(report)


def cache_folder() -> Path:
    """Where the downloaded pair is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "certline" / "pebble"


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("pebble")
    if on_path:
        yield Path(on_path)
    cached = cache_folder() / "pebble"
    if cached.exists():
        yield cached


def _is_new_enough(binary: Path) -> bool:
    """Whether the directory shows ARI and profiles: the binary itself only says "dev"."""
    from tests.testbed.pebble import offers_ari_and_profiles

    try:
        return offers_ari_and_profiles(binary)
    except (TestbedError, OSError):
        return False


def _companion(pebble: Path, report: Report) -> PebbleBinaries:
    """The pair for a Pebble found somewhere: its companion from beside it, PATH, cache or download."""
    beside = pebble.with_name("pebble-challtestsrv")
    on_path = shutil.which("pebble-challtestsrv")
    for candidate in (beside, on_path, cache_folder() / beside.name):
        if candidate and Path(candidate).exists():
            return PebbleBinaries(pebble, Path(candidate))
    return PebbleBinaries(pebble, _download(report).challtestsrv)


def _download(report: Report) -> PebbleBinaries:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise TestbedError(f"{HOW_TO_INSTALL}; there is no {tool} here to fetch Debian's package with")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch.", dir=folder) as work:
        try:
            return _unpack(_fetch(Path(work), report), folder, report)
        except (TestbedError, subprocess.TimeoutExpired) as fault:
            last_line = str(fault).strip().splitlines()[-1]
            raise TestbedError(f"{HOW_TO_INSTALL}; Debian's package could not be fetched: {last_line}") from fault


def _fetch(work: Path, report: Report) -> Path:
    """Download the package of suite sid by apt with sources, lists and cache of its own; path of the .deb."""
    (work / "sources.list").write_text(f"deb {_keyring()}{_archive_uri()} sid main\n")
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    apt = [
        "apt-get",
        "-o", f"Dir::Etc::SourceList={work}/sources.list",
        "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", f"Dir::State::Lists={work}/lists",
        "-o", f"Dir::Cache={work}/cache",
        "-o", f"APT::Sandbox::User={_own_name()}",
    ]  # fmt: skip
    report("pebble: reading the package list of Debian sid (private to this project, the system stays as it is)")
    run([*apt, "update"], seconds=180)
    report("pebble: downloading Debian's package")
    run(["env", f"--chdir={work}", *apt, "download", "pebble"], seconds=180)
    return next(work.glob("pebble_*.deb"))


def _unpack(package: Path, folder: Path, report: Report) -> PebbleBinaries:
    """Move both programs into the cache, each by rename, so that two runs at once do not disturb each other."""
    unpacked = package.with_name("unpacked")
    run(["dpkg", "-x", package, unpacked])
    made = PebbleBinaries(folder / "pebble", folder / "pebble-challtestsrv")
    for target in (made.challtestsrv, made.pebble):
        (unpacked / "usr" / "bin" / target.name).replace(target)
    if not _is_new_enough(made.pebble):
        raise TestbedError("the package holds a Pebble that does not start here or is too old")
    report(f"pebble: ready in {folder}")
    return made


def _archive_uri() -> str:
    """The address this machine has for its own release: no archive's name is written down here."""
    release = _os_release().get("VERSION_CODENAME", "")
    for line in run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]).splitlines():
        uri, _, suite = line.partition(" ")
        if suite in {release, "sid", "unstable"}:
            return uri
    raise TestbedError(f"apt has no source for {release or 'this release'}")


def _keyring() -> str:
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    return f"[signed-by={keyring}] " if keyring.exists() else ""


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _own_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


if __name__ == "__main__":
    try:
        print(find_pebble().pebble)
    except TestbedError as fault:
        sys.exit(str(fault))
