"""The bell of one process: who waits for a topic is told at once."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class LocalBell:
    """Thread-safe. Masters on other machines are not reached: polling is for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, dict[object, Callable[[], None]]] = {}

    def ring(self, topic: str) -> None:
        """What a listener raises is logged; the others are told all the same."""
        with self._lock:
            told = list(self._listeners.get(topic, {}).values())
        for heard in told:
            try:
                heard()
            except Exception:  # noqa: BLE001 whatever it raises, the others must hear
                _log.exception("a listener of the bell %s failed", topic)

    def listen(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        """What is returned ends the listening and may be called twice."""
        mark = object()
        with self._lock:
            self._listeners.setdefault(topic, {})[mark] = heard

        def stop() -> None:
            with self._lock:
                listeners = self._listeners.get(topic, {})
                listeners.pop(mark, None)
                if not listeners:
                    self._listeners.pop(topic, None)

        return stop
