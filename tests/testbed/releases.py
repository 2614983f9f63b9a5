"""Former releases of certline, run beside the present one: as many as the protocol promises to work with."""

import zipfile
from pathlib import Path

WHEELS = Path(__file__).parent.parent / "releases"


def former_releases() -> list[str]:
    """Their versions, the oldest first."""
    return sorted(wheel.name.split("-")[1] for wheel in WHEELS.glob("certline-*.whl"))


def prefix_for(version: str, folder: Path) -> list[str]:
    """What to put before `certline` or `certline-follower` so that it runs as that release, unpacked in `folder`.

    The libraries beside it are today's: a release has to work with what pip installs for it later, too.
    """
    unpacked = folder / f"certline-{version}"
    if not unpacked.exists():
        wheel = next(WHEELS.glob(f"certline-{version}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    return ["env", f"PYTHONPATH={unpacked}"]
