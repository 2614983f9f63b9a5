"""The command line of the master: `certline`."""

from pathlib import Path
from typing import Any

import click

from certline_master.cli.failures import CommandFailed
from certline_shared import __version__

LATE = {
    "init": "certline_master.cli.init:init",
    "serve": "certline_master.cli.serve:serve",
    "migrate": "certline_master.cli.serve:migrate",
    "plan": "certline_master.cli.fleet:plan",
    "apply": "certline_master.cli.fleet:apply",
    "status": "certline_master.cli.objects:status",
    "line": "certline_master.cli.objects:line",
    "follower": "certline_master.cli.objects:follower",
    "event": "certline_master.cli.objects:event",
    "config": "certline_master.cli.config:config",
}
"""Command -> where it is: imported when it is called, so that each starts fast."""


class LateGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's interface
        return list(LATE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's interface
        if cmd_name not in LATE:
            return None
        from importlib import import_module

        module, _, attribute = LATE[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{LATE[cmd_name]} is not a command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CommandFailed as failure:
            for line in str(failure).splitlines():
                click.echo(f"certline: {line}", err=True)
            ctx.exit(failure.code)


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="certline")
@click.option(
    "--config", "-c", metavar="FILE", help="The settings (default: certline.toml here, then in /etc/certline)."
)
@click.pass_context
def certline(ctx: click.Context, config: str | None) -> None:
    """TLS certificates for hosts that can prove nothing to a CA.

    Exit codes: 0 done or nothing to do; 2 wrong usage or configuration; 3 refused or not found; 4 something failed and will be
    retried; 5 the master cannot be reached.
    """
    ctx.obj = config


def settings_path(config: str | None) -> Path:
    """Where the settings are. Raises CommandFailed."""
    from certline_master.cli.failures import WRONG
    from certline_master.settings import SettingsError, find

    try:
        return find(config)
    except SettingsError as fault:
        raise CommandFailed(str(fault), WRONG) from fault
