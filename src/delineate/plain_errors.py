"""A mistake that a user can mend is one message on stderr and an exit code, without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from delineate.engine.interrupt import Interrupted
from delineate.errors import DelineateError

__all__ = ["plain_errors"]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Exit with 2 after a mistake, and as a shell does after a signal."""
    try:
        yield
    except DelineateError as error:
        _leave(str(error), 2)
    except OSError as error:
        if error.filename is None:
            raise
        _leave(f"{error.filename}: {error.strerror}.", 2)
    except Interrupted as stop:
        _leave(str(stop), stop.code)
    except KeyboardInterrupt:
        _leave("Stopped.", 130)


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code) from None
