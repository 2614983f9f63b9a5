"""A zone's settings, checked by the solver that reads them: unknown ones are named, and what is wrong is said."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from certline_master.challenges.endpoint import Endpoint, parse
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass, Zone
from certline_shared.names import normalise


def _dns_server(value: object) -> Endpoint:
    return parse(value, port=53)


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a DNS name such as ns1.example.org")  # noqa: TRY004 pydantic reads it
    return normalise(value)


DnsServer = Annotated[Endpoint, PlainValidator(_dns_server)]
HostName = Annotated[str, PlainValidator(_host)]


class ZoneSettings(BaseModel):
    """What every solver's settings have in common: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LookSettings(ZoneSettings):
    """How the visibility of answers in a zone is judged."""

    nameservers: Annotated[list[DnsServer], Field(min_length=1, max_length=32)] | None = None
    visibility: Literal["all", "quorum", "none"] = "all"


class _Servers(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    nameservers: Annotated[list[DnsServer], Field(min_length=1, max_length=32)] | None = None


def nameservers(zone: Zone) -> Sequence[Endpoint]:
    """The servers that a zone's settings name instead of its NS records; of a zone whose settings are sound."""
    return _Servers.model_validate(zone.settings).nameservers or ()


S = TypeVar("S", bound=ZoneSettings)


def read(model: type[S], zone: Zone) -> S:
    """The zone's settings as `model`. Raises SolverError that lists all faults."""
    try:
        return model.model_validate(zone.settings)
    except ValidationError as error:
        raise SolverError(
            f"zone {zone.name}: {'; '.join(_texts(model, error))}", FailureClass.FIX_CONFIGURATION
        ) from None


def faults(model: type[ZoneSettings], zone: Zone) -> tuple[str, ...]:
    """One text for each fault in the zone's settings; () when they can be used."""
    try:
        model.model_validate(zone.settings)
    except ValidationError as error:
        return _texts(model, error)
    return ()


def _texts(model: type[ZoneSettings], error: ValidationError) -> tuple[str, ...]:
    return tuple(_text(model, fault) for fault in error.errors(include_input=False, include_url=False))


def _text(model: type[ZoneSettings], fault: Any) -> str:
    where = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no such setting; this solver knows {', '.join(sorted(model.model_fields))}"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
