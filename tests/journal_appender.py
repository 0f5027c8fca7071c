"""A process that appends from many threads until it is killed, and tells each offset that it was given.

``python journal_appender.py URL FIRST THREADS``. On the standard output ``begin NUMBER`` stands before each
append of the events made from that number on, and ``kept NUMBER FIRST LAST`` behind it, with their offsets.
"""

import contextlib
import os
import sys
import threading
import time

import numpy as np

from consilium.bus.journal import open_journal
from consilium.domain import ConsiliumError
from journal_cases import event

BATCH = 7


def main(url: str, first: int, threads: int) -> None:
    journal = open_journal(url)
    numbers = iter(range(first, 2**62, BATCH))
    lock = threading.Lock()

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while True:
            with lock:
                number = next(numbers)
            sent = [event(number + i) for i in range(rng.integers(1, BATCH + 1))]
            # a line is shorter than what is written whole
            os.write(1, f"begin {number}\n".encode())
            with contextlib.suppress(ConsiliumError):  # a server that was killed: what it took nobody knows
                if rng.random() < 0.3:
                    journal.append_once("worker", f"{number}", sent)
                offsets = journal.append(sent)
                os.write(1, f"kept {number} {offsets[0]} {offsets[-1]}\n".encode())

    for seed in range(threads):
        threading.Thread(target=work, args=(seed,), daemon=True).start()
    parent = os.getppid()
    while os.getppid() == parent:  # nobody would end it when the tests are killed
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
