"""`certline config`: the settings as they are in force, an example, and the JSON schema of the fleet file."""

import json

import click

from certline_master.cli.failures import WRONG, CommandFailed
from certline_master.cli.main import settings_path


@click.group()
def config() -> None:
    """The settings in force, examples, and the fleet file's schema."""


@config.command()
def example() -> None:
    """Print a commented certline.toml."""
    from certline_master.settings import example as text

    click.echo(text(), nl=False)


@config.command()
@click.pass_obj
def show(named: str | None) -> None:
    """Print the settings in force, the environment's included, and where they come from."""
    from certline_master.settings import SettingsError, load

    path = settings_path(named)
    try:
        settings = load(path)
    except SettingsError as fault:
        raise CommandFailed(str(fault), WRONG) from fault
    click.echo(f"# from {path}", err=True)
    click.echo(json.dumps(_without_password(settings.model_dump(mode="json")), indent=2))


@config.command()
def schema() -> None:
    """Print the JSON schema of the fleet file, for editors."""
    from certline_master.cli.fleet_file import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def _without_password(shown: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    from certline_shared.logs import redact

    shown["store"]["url"] = redact(shown["store"]["url"])
    return shown
