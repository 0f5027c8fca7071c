"""The command line. Exit codes: 0 done, 1 failed, 2 bad usage."""

import os
import signal
import sys

from consilium.app.cli.starting import unswept

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def main() -> None:
    """Run the command line; every library gets one thread unless the environment asks for more.

    A request to end (SIGTERM) is answered as Ctrl-C is: one line, and the run is written down as aborted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for variable in THREAD_VARIABLES:
            os.environ.setdefault(variable, "1")
        with unswept():
            from consilium.app.cli.root import app

        app()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted: nothing half-written was left; run the command again\n")
        sys.exit(1)
