"""What goes wrong on this machine (settings, files, the database), told as a command tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.domain.errors import DomainError, Invalid
from certline_master.settings import SettingsError


@contextmanager
def local_faults(file: Path | None = None) -> Iterator[None]:
    """Errors from inside become CommandFailed; a setting that cannot be used is told with the `file` it stands in."""
    try:
        yield
    except SettingsError as fault:
        raise CommandFailed(str(fault), WRONG) from fault
    except Invalid as fault:
        where = f"{file}: " if file else ""
        told = (f"{where}{_setting(one.field)}: {one.detail}" for one in fault.faults)
        raise CommandFailed("\n".join(told), WRONG) from fault
    except DomainError as fault:
        raise CommandFailed(str(fault), REFUSED) from fault
    except ModuleNotFoundError as fault:
        if fault.name != "psycopg":
            raise
        text = "store.url: Postgres needs a driver that is not installed: pip install 'certline[master,postgres]'"
        raise CommandFailed(text, WRONG) from fault
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        raise CommandFailed(f"{where}{fault.strerror or fault}", REFUSED) from fault


def _setting(field: str) -> str:
    """`/secrets/kek` as it is called in the file: `secrets.kek`."""
    return field.strip("/").replace("/", ".")
