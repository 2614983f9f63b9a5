"""What a generation, put in place or put back, and a new manifest make hooks owed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from certline_follower import happenings, kept
from certline_follower.generation import FileContent, Generation, InstalledGeneration
from certline_follower.happenings import Showing, ShownFile
from certline_follower.host import Host
from certline_follower.state import Happening
from certline_shared.manifest import Manifest, ManifestLine


def made_by(host: Host, generation: Generation) -> dict[str, Happening]:
    """What hooks are owed once a generation that is about to be installed is live."""
    shown = {
        output.setting or output.path: ShownFile(str(output.path), _mark(generation.files[output.source]))
        for output in generation.outputs
    }
    number = host.installer.number_of(generation)
    return _owed(host, host.installer.live(), Showing(shown, generation.facts), number)


def made_by_return(host: Host, to: InstalledGeneration | None) -> dict[str, Happening]:
    """What hooks are owed once a former generation is live again."""
    return host.state.happenings if to is None else _owed(host, host.installer.live(), _showing(host, to), to.number)


def _owed(host: Host, before: InstalledGeneration | None, after: Showing, number: int) -> dict[str, Happening]:
    settings = host.settings
    if not settings.hooks.sections:
        return {}
    former = Showing() if before is None else _showing(host, before)
    news = happenings.between(settings, former, after, number)
    return happenings.still_owed(settings.hooks, happenings.merged(host.state.happenings, news))


def _showing(host: Host, generation: InstalledGeneration) -> Showing:
    """A file that cannot be read is as good as another one."""
    folder, found = host.settings.state_dir / kept.shown(generation.number), {}
    for output in generation.outputs:
        mark = generation.recipes.get(output.source) or _hash_of(folder / output.source)
        found[output.setting or output.path] = ShownFile(str(output.path), mark)
    return Showing(found, generation.facts)


def _hash_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _mark(content: FileContent) -> str:
    return content.recipe or hashlib.sha256(content.data).hexdigest()


def told_by(host: Host, manifest: Manifest) -> dict[str, Happening]:
    """What hooks are owed once this manifest is followed instead of the one in hand."""
    hooks, former = host.settings.hooks, {line.name: line for line in host.manifest.lines} if host.manifest else {}
    news: dict[str, Happening] = {}
    for line in manifest.lines:
        if hooks.of_line(line.name):
            news |= news_of(line, former.get(line.name))
    return happenings.still_owed(hooks, happenings.merged(host.state.happenings, news)) if hooks.sections else {}


def news_of(line: ManifestLine, former: ManifestLine | None) -> Mapping[str, Happening]:
    """The master says what holds the line back; or it takes a version away and offers none."""
    found: dict[str, Happening] = {}
    if line.error and line.error != (former.error if former else None):
        one = happenings.told(line.name, "line_failed", line.error, line.version, line.names, error=line.error)
        found[f"line_failed {line.name}"] = one
    if line.version is None and former is not None and former.version is not None:
        one = happenings.told(line.name, "line_revoked", str(former.version), former.version, line.names)
        found[f"line_revoked {line.name}"] = one
    return found
