"""The settings of a rehearsal: the same lines, hooks and services, with all files in a tree of their own. Pure."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from certline_follower import patterns
from certline_follower.hook_settings import Hooks, Section
from certline_follower.output import Archive, Folder, Output
from certline_follower.service_settings import Service
from certline_follower.settings import LineSettings, Settings
from certline_shared.running import Surroundings

FOLDER = "rehearsal"
STATE, FILES = "state", "files"  # below it
FLAG = ("CERTLINE_TEST", "1")  # in the environment of all that it runs


def folder_of(settings: Settings) -> Path:
    """Where all that a rehearsal writes lies, below the folder of what is in use."""
    return settings.state_dir / FOLDER


def rehearsal_settings(settings: Settings, lines: Collection[str]) -> Settings:
    """Of these lines. No window is waited for, and the host's own keys stay as they are."""
    tree = folder_of(settings) / FILES
    chosen = tuple(_line(line, settings, tree) for line in settings.lines if line.name in lines)
    used = {name for line in chosen for name in line.services}
    return replace(
        settings,
        state_dir=folder_of(settings) / STATE,
        lines=chosen,
        services={name: _service(one) for name, one in settings.services.items() if name in used},
        windows=(),
        rotate_keys_days=None,
        hooks=Hooks(tuple(_section(one) for one in settings.hooks.sections)),
        rehearsal=True,
    )


def placed(path: Path, tree: Path) -> Path:
    """The same path below the tree."""
    return tree / path.relative_to(path.anchor)


def folders_of(settings: Settings) -> tuple[Path, ...]:
    """The folders that hold outputs and links, as far as they are the same for every version."""
    paths = [path for line in settings.lines for one in line.outputs for path in (one.path, one.link) if path]
    return tuple(dict.fromkeys(_steady(path.parent) for path in paths))


def _steady(folder: Path) -> Path:
    while patterns.fields_in(str(folder)):
        folder = folder.parent
    return folder


def _line(line: LineSettings, settings: Settings, tree: Path) -> LineSettings:
    """Its keys are made for the rehearsal, also where those in use were made elsewhere."""
    services = tuple(name for name in line.services if settings.services[name].rehearse)
    outputs = tuple(_output(one, tree) for one in line.outputs)
    archive = _archive(line.archive, tree) if line.archive else None
    return replace(line, services=services, outputs=outputs, key_file=None, archive=archive)


def _output(output: Output, tree: Path) -> Output:
    link = placed(output.link, tree) if output.link else None
    folders = tuple(_folder(one, tree) for one in output.folders)
    return replace(output, path=placed(output.path, tree), link=link, folders=folders)


def _folder(folder: Folder, tree: Path) -> Folder:
    return replace(folder, path=placed(folder.path, tree))


def _archive(archive: Archive, tree: Path) -> Archive:
    return replace(archive, path=placed(archive.path, tree) if archive.path else None)


def _service(service: Service) -> Service:
    """It is looked at only where its settings say that it shows the rehearsal's files."""
    probes = tuple(target for target in service.probes if target.rehearse)
    return replace(service, probes=probes, windows=(), around=_flagged(service.around))


def _section(section: Section) -> Section:
    actions = (replace(one, around=_flagged(one.around)) for one in section.actions if one.rehearse)
    return replace(section, actions=tuple(actions))


def _flagged(around: Surroundings) -> Surroundings:
    return replace(around, env=(*around.env, FLAG))
