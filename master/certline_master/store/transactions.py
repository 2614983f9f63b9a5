"""The writer's connection: made when needed, thrown away when it is lost."""

from collections.abc import Callable
from threading import Event

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from certline_master.domain.ports import Records
from certline_master.store.faults import Trouble, trouble, unavailable
from certline_master.store.records import session_of
from certline_shared.clock import Clock

# How long a lost database is waited for, in seconds between tries, before callers are told to come later.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)


class WriterConnection:
    def __init__(self, engine: Engine, begin: str, bind: Callable[[Connection], Records], clock: Clock) -> None:
        self._engine, self._begin, self._bind, self._clock = engine, begin, bind, clock
        self._connection: Connection | None = None

    def begin(self) -> Records:
        for pause in _PAUSES:
            try:
                return self._try()
            except SQLAlchemyError as error:
                self._drop()
                if trouble(error) is not Trouble.LOST:
                    raise unavailable(error) from error
                self._clock.pause(pause, Event())
        try:
            return self._try()
        except SQLAlchemyError as error:
            self._drop()
            raise unavailable(error) from error

    def _try(self) -> Records:
        if self._connection is None:
            self._connection = self._engine.connect()
        self._connection.exec_driver_sql(self._begin)
        return self._bind(self._connection)

    def say(self, statement: str) -> None:
        if self._connection is None:
            raise RuntimeError("no transaction was begun")
        self._connection.exec_driver_sql(statement)

    def end_work(self, records: Records) -> None:
        session_of(records).end_work()

    def give_up(self) -> None:
        """A new connection is simpler to be sure of than a ROLLBACK that may itself fail."""
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.invalidate()
            connection.close()
        except SQLAlchemyError:
            pass

    def close(self) -> None:
        self._drop()
        self._engine.dispose()
