"""A process that installs, for tests that kill it: `install_child.py SETTINGS MATERIALS [roll back to]`.

MATERIALS is a JSON list of line versions. Ends with 0 (prints True or False: changed or not) or 3 (prints the fault).
"""

import json
import sys
from pathlib import Path

from certline_follower import settings
from certline_follower.disk import Installer
from certline_follower.faults import InstallFault
from certline_follower.generation import LineMaterial
from certline_follower.rendering import render
from certline_shared.clock import SystemClock
from certline_shared.key_types import KeyType


def main(settings_file: str, materials_file: str, *number: str) -> int:
    read = settings.load(Path(settings_file))
    installer = Installer(read, SystemClock())
    try:
        installer.recover()
        if number:
            installer.rollback_to(int(number[0]))
        else:
            generation = render(materials(Path(materials_file)), read, installer.next_number())
            sys.stdout.write(f"{installer.install(generation)}\n")
            installer.prune()
    except InstallFault as fault:
        sys.stdout.write(f"{fault}\n")
        return 3
    return 0


def materials(file: Path) -> list[LineMaterial]:
    return [
        LineMaterial(one["line"], one["version"], KeyType(one["key_type"]), one["key_pem"].encode(), one["chain_pem"])
        for one in json.loads(file.read_text())
    ]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
