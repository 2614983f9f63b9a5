"""What routes get handed: the services, the caller and the request as it came."""

from typing import Annotated

from fastapi import Depends, Path, Request

from certline_master.api.incoming import Incoming
from certline_master.api.services import Services
from certline_master.domain.access import Caller

OBJECT_NAME = r"^[a-z0-9][a-z0-9._@-]{0,126}$"  # a follower's own line is called LINE@FOLLOWER


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _incoming(request: Request) -> Incoming:
    incoming: Incoming = request.state.incoming
    return incoming


Here = Annotated[Services, Depends(_services)]
By = Annotated[Caller, Depends(_caller)]
Raw = Annotated[Incoming, Depends(_incoming)]
ObjectName = Annotated[str, Path(pattern=OBJECT_NAME, description="the object's name")]
