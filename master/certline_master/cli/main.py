"""The command line of the master: `certline`."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from certline_master.cli.failures import WRONG, CommandFailed, one_line
from certline_shared import __version__

_HERE = "certline_master.cli."
LATE = {
    "init": ("init:init", "Make everything needed to serve."),
    "serve": ("serve:serve", "Run the API and the workers."),
    "migrate": ("serve:migrate", "Bring the database to this release's schema."),
    "plan": ("fleet:plan", "Show what the fleet file would change."),
    "apply": ("fleet:apply", "Make the fleet as the file says."),
    "status": ("status:status", "Show how the fleet does."),
    "line": ("rehearsals:line", "Certificate lines: list, show, issue, rehearse, revoke, rollback, rollover, history."),
    "follower": ("admission:follower", "Followers: create, list, show, grant, suspend, revoke, delete ..."),
    "group": ("grants:group", "Groups of followers that share grants: list, show, grant, delete."),
    "token": ("tokens:token", "Admin tokens of people and scripts: create, list, rotate, revoke."),
    "key": ("keys:key", "Keys: list, show, where copies are, rollover, revoke, forget."),
    "tlsa": ("tlsa:tlsa", "TLSA records (DANE): show, check, update."),
    "bundle": ("bundles:bundle", "Hosts without a connection: a bundle to carry there, the receipt from there."),
    "signing-key": ("signing_key:signing_key", "The key that signs what followers install: rotate."),
    "event": ("events:event", "Audit records."),
    "kek": ("keks:kek", "The key encryption key: rotate, retire, status."),
    "datakey": ("keks:datakey", "The data keys: rotate."),
    "backup": ("backups:backup", "Back up the database; verify a backup."),
    "restore": ("backups:restore", "Put a backup into an empty database."),
    "epoch": ("backups:epoch", "Tell followers that this master went back in time."),
    "config": ("config:config", "The settings in force, examples, the fleet file's schema."),
}
"""Command -> where it is, and its help: imported when it is called, so that each starts fast."""


class LateGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's interface
        return list(LATE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's interface
        if cmd_name not in LATE:
            return None
        module, _, attribute = LATE[cmd_name][0].partition(":")
        command = getattr(import_module(_HERE + module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{LATE[cmd_name][0]} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 the same
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in LATE.items()])


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="certline")
@click.option(
    "--config", "-c", metavar="FILE", help="The settings (default: certline.toml here, then in /etc/certline)."
)
@click.pass_context
def certline(ctx: click.Context, config: str | None) -> None:
    """TLS certificates for hosts that can prove nothing to a CA.

    Exit codes: 0 done or nothing to do; 2 wrong usage or configuration; 3 refused or not found; 4 something failed
    and will be retried; 5 the master cannot be reached; 10 apply --check: there is something to do.
    """
    ctx.obj = config


def run(arguments: Sequence[str] | None = None) -> int:
    """One command; its exit code. What goes wrong is told on stderr, without a traceback."""
    try:
        code = certline.main(arguments, prog_name="certline", standalone_mode=False)
    except CommandFailed as failure:
        for line in str(failure).splitlines():
            click.echo(f"certline: {one_line(line)}", err=True)
        return failure.code
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except click.Abort:  # Ctrl-C, also at a question
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def settings_path(config: str | None) -> Path:
    """Where the settings are. Raises CommandFailed."""
    from certline_master.settings import SettingsError, find

    try:
        return find(config)
    except SettingsError as fault:
        raise CommandFailed(str(fault), WRONG) from fault
