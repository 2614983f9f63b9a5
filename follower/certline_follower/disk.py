"""Generations on disk: one is written beside the others, then one link `live` is swapped to it."""

from certline_follower.generation import Generation, InstalledGeneration, LineMaterial
from certline_follower.settings import Settings
from certline_shared.clock import Clock

FAILPOINTS: tuple[str, ...] = ()


class Installer:
    """Installs generations of one host; one at a time, under the RunLock; `recover` mends a kill at any moment."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        raise NotImplementedError

    def live(self) -> InstalledGeneration | None:
        """What is live now, read back from the link; None when nothing (readable) is."""
        raise NotImplementedError

    def previous(self) -> InstalledGeneration | None:
        """The generation that was live before the live one, if it is still kept."""
        raise NotImplementedError

    def materials(self) -> dict[str, LineMaterial]:
        """The live versions by line, read back: to carry unchanged lines into the next generation."""
        raise NotImplementedError

    def next_number(self) -> int:
        """The number for the next generation to render."""
        raise NotImplementedError

    def install(self, generation: Generation) -> bool:
        """Make it live, outputs included; False when the same content is live and in place already.

        Raises InstallFault; then the former generation and outputs are in place as before.
        """
        raise NotImplementedError

    def recover(self) -> None:
        """Finish, or else undo, what a kill left. To be called at each start. Raises InstallFault."""
        raise NotImplementedError

    def rollback_to(self, number: int) -> None:
        """Make a kept generation live again, outputs included. Raises InstallFault."""
        raise NotImplementedError

    def prune(self) -> None:
        """Remove all but the newest `keep` generations; never the live one."""
        raise NotImplementedError
