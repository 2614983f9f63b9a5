"""The command line of the follower: reads its words, hands over, and turns errors into one line and an exit code."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from certline_follower.ending import AWAY, EXIT_CODES, FAILED, NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.showing import one_line, status, status_text
from certline_shared import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    # Given here: parsers share their parents' actions, so that a default of one would be a default of all.
    options = parser().parse_args(arguments, argparse.Namespace(config=None, output="text"))
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except (ImportError, BrokenPipeError):
        raise  # told, or not, by the entry point
    except Exception as error:
        if _code_of(error) is None and sys.flags.dev_mode:  # python -X dev shows where
            raise
        what = str(error) if _code_of(error) else f"a fault of certline itself: {type(error).__name__}: {error}"
        print(f"certline-follower: {one_line(what)}", file=sys.stderr)  # noqa: T201 this is the command line
        return _code_of(error) or FAILED


def _code_of(error: Exception) -> int | None:
    """By name, so that no command imports what it does not use; None for what nobody expected."""
    if isinstance(error, Failed):
        return error.code
    names = {kind.__name__ for kind in type(error).__mro__}
    codes = {
        "SettingsError": USAGE,
        "IdentityError": USAGE,
        "BadEnrolmentString": USAGE,
        "BadString": USAGE,
        "StateNotKept": FAILED,
        "BadBundle": REFUSED,
        "StateError": USAGE,
        "EnrolmentError": REFUSED,
        "Refused": REFUSED,
        "Unreachable": AWAY,
        "Untrusted": FAILED,
        "InstallFault": FAILED,
        "OSError": FAILED,
    }
    return next((code for name, code in codes.items() if name in names), None)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="settings file")
    shared.add_argument("--output", choices=("text", "json"), default=argparse.SUPPRESS, help="how to show (text)")
    top = argparse.ArgumentParser(
        prog="certline-follower",
        description="Gets this host's certificates from its certline master and installs them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    top.add_argument("--version", action="version", version=f"certline-follower {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared])
        made.set_defaults(run=run)
        return made

    _add_enroll(command("enroll", _enroll, "Make this host known to its master: by a string from there, or a name."))
    command("keygen", _keygen, "Print this host's public keys, so that the master can be told them beforehand.")
    keep = command("run", _run, "Keep the certificates current until SIGTERM; SIGHUP reads the settings anew.")
    _add_passphrases(keep)
    _add_sync(command("sync", _sync, "Do what is to be done now, and end."))
    _add_deploy(command("deploy", _deploy, "Check, reload and probe again, and try now what is held back or waits."))
    _add_ask(command("renew", _renew, "Have the master issue a line of this host alone anew, whatever its age."))
    _add_ask(command("rollover", _rollover, "Have the master use the next key of a line of this host alone."))
    _add_rehearse(
        command("rehearse", _rehearse, "Try everything with test certificates and files of their own; change nothing.")
    )
    command("rotate-keys", _rotate_keys, "Give this host new keys of its own; the present ones serve until then.")
    command("plan", _plan, "Show what would be done now, and why; do nothing.")
    command("status", _status, "Show what this host has, by its own records.")
    bundle = command(
        "apply-bundle", _apply_bundle, "Use a bundle that was carried here from the master, without any connection."
    )
    bundle.add_argument("file", metavar="FILE", help="the bundle; - is standard input")
    _add_passphrases(bundle)
    bundle.add_argument("--receipt", metavar="F", help="write what is to be carried back to the master here")
    forget = command("forget", _forget, "Remove all that this host has of a line that left the file, its keys too.")
    forget.add_argument("line", metavar="LINE", help="the line's name")
    snippet = command("snippet", _snippet, "Print the TLS part of a web server's configuration for a line's files.")
    snippet.add_argument("server", choices=("nginx", "apache"))
    snippet.add_argument("line", metavar="LINE", help="a line of the settings file")
    config = command("config", _config, "Show the settings in use, or an example.")
    config.add_argument("what", choices=("show", "example"))
    return top


def _add_enroll(enroll: argparse.ArgumentParser) -> None:
    enroll.add_argument("--token-file", metavar="F", default="-", help="file with the string; - is standard input (-)")
    enroll.add_argument("--replace", action="store_true", help="give a host that is enrolled another identity")
    enroll.add_argument("--introduce", action="store_true", help="without a string: show a fingerprint to be approved")
    enroll.add_argument("--master", metavar="URL", help="with --introduce: https://NAME-OR-IP:PORT")
    enroll.add_argument("--name", help="with --introduce: how to be called there (this host's name)")
    enroll.add_argument("--ca-file", metavar="F", help="with --introduce: know the master's API by this CA")
    enroll.add_argument("--wait", type=_seconds, default=600.0, metavar="S", help="for the approval (600)")


class _NoPassphraseHere(argparse.Action):
    """Arguments are seen by every user of the host."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "a passphrase must not stand on the command line: use --passphrase-file FILE, the variable "
            "CERTLINE_PASSPHRASE, a prompt, standard input or a systemd credential"
        )


def _add_passphrases(made: argparse.ArgumentParser) -> None:
    made.add_argument("--passphrase-file", metavar="F", help="passphrases of lines with passphrase = true, in order")
    made.add_argument("--passphrase", action=_NoPassphraseHere, help=argparse.SUPPRESS)


def _add_sync(sync: argparse.ArgumentParser) -> None:
    _add_passphrases(sync)
    sync.add_argument("--timeout", type=_seconds, default=120.0, metavar="S", help="wait for first versions (120)")
    sync.add_argument("--splay", type=_splay, metavar="MIN-MAX", help="wait between MIN and MAX seconds before")
    sync.add_argument("--wait", action="store_true", help="wait for another run to end")
    how = sync.add_mutually_exclusive_group()
    how.add_argument("--no-hooks", action="store_true", help="run neither hooks nor services: they stay owed")
    how.add_argument("--test", action="store_true", help="the same as the command rehearse, for all lines")
    sync.add_argument("--changed-is-zero", action="store_true", help="exit with 0 when something was changed")


def _add_rehearse(rehearse: argparse.ArgumentParser) -> None:
    _add_passphrases(rehearse)
    rehearse.add_argument("line", metavar="LINE", nargs="*", help="lines of the settings file (all)")
    rehearse.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="wait for certificates (300)")


def _add_deploy(deploy: argparse.ArgumentParser) -> None:
    _add_passphrases(deploy)
    deploy.add_argument("line", metavar="LINE", nargs="*", help="lines of the settings file (all)")
    deploy.add_argument("--timeout", type=_seconds, default=600.0, metavar="S", help="wait for the daemon (600)")


def _add_ask(ask: argparse.ArgumentParser) -> None:
    _add_passphrases(ask)
    ask.add_argument("line", metavar="LINE", help="a line of the settings file")
    ask.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="wait for the daemon (60)")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: give 0 to 86400 seconds")
    return value


def _splay(text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        least, most = _seconds(low), _seconds(high)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not MIN-MAX, two numbers of seconds such as 0-300") from None
    if not dash or least > most:
        raise argparse.ArgumentTypeError(f"{text!r}: MIN is at most MAX, as in 0-300")
    return least, most


def _find(options: argparse.Namespace) -> Path:
    from certline_follower import settings

    return settings.find(options.config, Path.cwd())


def _status(options: argparse.Namespace) -> int:
    from certline_follower import settings

    loaded = settings.load(_find(options))
    shown = status(loaded)
    show(options, shown, list(status_text(shown)))
    return NOTHING


def _config(options: argparse.Namespace) -> int:
    from certline_follower import settings

    if options.what == "example":
        print(settings.example(), end="")  # noqa: T201 this is the command line
        return NOTHING
    from certline_follower.showing import settings_data

    data = settings_data(settings.load(_find(options)))
    show(options, data, [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in data.items()])
    return NOTHING


def _enroll(options: argparse.Namespace) -> int:
    from certline_follower import identity_commands

    return identity_commands.enroll(options, _find(options))


def _run(options: argparse.Namespace) -> int:
    from certline_follower import commands

    return commands.run(options, _find(options))


def _rehearse(options: argparse.Namespace) -> int:
    from certline_follower import rehearse_command

    return rehearse_command.command(options, _find(options))


def _sync(options: argparse.Namespace) -> int:
    if options.test:
        return _rehearse(options)
    from certline_follower import commands

    return commands.sync(options, _find(options))


def _deploy(options: argparse.Namespace) -> int:
    from certline_follower import commands

    return commands.deploy(options, _find(options))


def _renew(options: argparse.Namespace) -> int:
    from certline_follower import ask_command

    return ask_command.command(options, _find(options), "renew")


def _rollover(options: argparse.Namespace) -> int:
    from certline_follower import ask_command

    return ask_command.command(options, _find(options), "rollover")


def _plan(options: argparse.Namespace) -> int:
    from certline_follower import commands

    return commands.plan(options, _find(options))


def _apply_bundle(options: argparse.Namespace) -> int:
    from certline_follower import bundle_command

    return bundle_command.apply_bundle(options, _find(options))


def _rotate_keys(options: argparse.Namespace) -> int:
    from certline_follower import identity_commands

    return identity_commands.rotate_keys(options, _find(options))


def _keygen(options: argparse.Namespace) -> int:
    from certline_follower import identity_commands

    return identity_commands.keygen(options, _find(options))


def _snippet(options: argparse.Namespace) -> int:
    from certline_follower import snippet

    return snippet.command(options, _find(options))


def _forget(options: argparse.Namespace) -> int:
    from certline_follower import forgetting

    return forgetting.command(options, _find(options))
