"""A mistake that a user can mend is one message on stderr and exit code 2, as everywhere here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from delineate.errors import DelineateError

__all__ = ["plain_errors"]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print what goes wrong in the block without a traceback, and leave."""
    try:
        yield
    except DelineateError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130) from None
