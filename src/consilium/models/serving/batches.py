"""One model's work on the newest rows of several symbols: one call of its engine where that is possible."""

from collections.abc import Iterator, Mapping

import numpy as np

from consilium.models.runtime import Timer
from consilium.models.serving.jobs import BookJob, Floats, Forecast, Job, as_forecast
from consilium.models.serving.split import SplitForecaster

WINDOWS_AT_ONCE = 8
"""Most windows of a batch: so two workers end at nearly the same time, and its numbers stay in the cache."""


class Batch:
    """The jobs of one model; what one of them raises costs no other.

    The rows of all go through the model in one call. Where that fails each job is done by itself, so that
    only those fail that must.

    Parameters
    ----------
    jobs
        By symbol, at least one, all of one model.
    timer
        Where latencies come from; of a call for n rows each has taken the nth part.
    """

    def __init__(self, jobs: Mapping[str, Job], timer: Timer) -> None:
        self.symbols = tuple(jobs)
        self.jobs = tuple(jobs.values())
        self.model = self.jobs[0].model
        self.begun = False
        self.done = False
        self._timer = timer

    def __call__(self) -> list[Forecast | Exception]:
        """Forecast; what comes back is in the order of `symbols`."""
        self.begun = True
        try:
            if len(self.jobs) > 1 and not any(isinstance(job, BookJob) for job in self.jobs):
                try:
                    return self._together()
                except Exception:  # noqa: BLE001, S110 - each is tried by itself, and says why it fails
                    pass
            return [_alone(job) for job in self.jobs]
        finally:
            self.done = True

    def settle(self) -> None:
        """Let books keep what was encoded of them, while nobody else moves them."""
        for job in self.jobs:
            if isinstance(job, BookJob):
                job.settle()

    def _together(self) -> list[Forecast | Exception]:
        start, model = self._timer(), self.model
        if isinstance(model.engine, SplitForecaster):
            p, expected = model.finish(model.engine.decide(self._codes(model.engine)), len(self.jobs))
        else:
            windows = np.stack([job.window for job in self.jobs])
            finite = all(job.finite for job in self.jobs)
            p, expected = model.answer(windows[:, 0] if model.window == 1 else windows, finite=finite)
        if len(p) != len(self.jobs) or len(expected) != len(self.jobs):
            raise ValueError(len(p))
        each = (self._timer() - start) // len(self.jobs)
        rows = ((p[i : i + 1], expected[i : i + 1]) for i in range(len(self.jobs)))
        if p.shape[1:] == (3,) and np.isfinite(p).all():
            return [Forecast(probabilities=q, expected_return=r, nanoseconds=each) for q, r in rows]
        return [_checked(q, r, each) for q, r in rows]

    def _codes(self, engine: SplitForecaster) -> Floats:
        """Return the encodings of all windows (n, T, H), the newest rows encoded in one call."""
        follow = [job for job in self.jobs if job.follows]
        if follow:
            newest = np.concatenate([job.window[-1:] for job in follow])
            for job, code in zip(follow, engine.encode(newest), strict=True):
                job.keep(code)
        return np.concatenate([job.codes(engine) for job in self.jobs])


def _alone(job: Job) -> Forecast | Exception:
    try:
        return job()
    except Exception as error:  # noqa: BLE001 - whatever an engine raises must not stop the others
        return error


def _checked(p: Floats, expected: Floats, nanoseconds: int) -> Forecast | Exception:
    try:
        return as_forecast(p, expected, nanoseconds)
    except Exception as error:  # noqa: BLE001 - a row that cannot be read costs no other
        return error


def batches(jobs: Mapping[str, Job], timer: Timer) -> Iterator[Batch]:
    """Cut the jobs of one model: rows all at once, windows a few at a time."""
    items = list(jobs.items())
    if not items:
        return
    size = len(items) if items[0][1].model.window == 1 else WINDOWS_AT_ONCE
    for start in range(0, len(items), size):
        yield Batch(dict(items[start : start + size]), timer)
