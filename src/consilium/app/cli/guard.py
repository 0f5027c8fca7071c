"""One clear line instead of a traceback, and the exit codes 0, 1 and 2."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from consilium.domain import ConsiliumError

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into one line on standard error and an exit code.

    ``CONSILIUM_DEBUG=1`` lets the traceback of an unexpected error through.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:
            raise
        except ConsiliumError as error:
            raise _fail(str(error), error.exit_code) from None
        except KeyboardInterrupt:
            raise _fail("interrupted: nothing half-written was left; run the command again", 1) from None
        except OSError as error:
            raise _fail(
                f"{error.strerror or error}: {error.filename or 'check disk and permissions'}", 1
            ) from None
        except MemoryError:
            raise _fail("out of memory: use fewer --symbols, a longer bar or --features core14", 1) from None
        except Exception as error:
            if os.environ.get("CONSILIUM_DEBUG"):
                raise
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            raise _fail(f"unexpected {text} (a bug; CONSILIUM_DEBUG=1 shows where)", 1) from None

    return run


def _fail(text: str, code: int) -> typer.Exit:
    sys.stderr.write(f"error: {text}\n")
    return typer.Exit(code)
