"""The server's log."""

from typing import Literal

import _tessera

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def log(
    message: object, level: Literal["debug", "info", "warning", "error"] = "info"
) -> None:
    """Writes a line to the server's log, with the tick and the entity whose hook runs.

    What the library's ``logging`` is told goes there too, with its level; its records
    have no time. So does what is printed: at ``info``, or at ``warning`` where it goes
    to ``sys.stderr``.
    """
    if level not in _LEVELS:
        raise ValueError(
            f"log: level must be one of {', '.join(_LEVELS)}, not {level!r}"
        )
    _tessera.log(_LEVELS[level], message)
