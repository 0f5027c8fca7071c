"""The candles that the journal's steps were concluded from: without them no step can be done again."""

from collections.abc import Iterator

from consilium.app.check.finding import Finding
from consilium.app.settings import Settings
from consilium.domain import ConsiliumError

LOOKED_AT = 5_000
"""Steps whose days are looked for, the newest ones."""

CURE = "restore the data folder that belongs to this journal, or begin with another of both"


def check_candles(settings: Settings) -> Iterator[Finding]:
    """Look whether the candles of the newest step lie there as they were, and files of the days before."""
    from consilium.app.live.candle_log import CandleReader, day_of, digest_of
    from consilium.app.live.records import STEP_DONE
    from consilium.bus.codec import message_of
    from consilium.bus.journal import open_journal
    from consilium.bus.journal.opening import inspect_journal

    try:
        if not inspect_journal(settings.journal_url).version:
            return
        journal = open_journal(settings.journal_url, create=False, untouched=True)
    except ConsiliumError:
        return  # told of the journal already
    reader = CandleReader(settings.data_dir / "live" / "candles")
    try:
        newest = journal.read(0, 1, topics=[STEP_DONE], newest_first=True)
        if not newest:
            return
        step = message_of(newest[0].event)
        found = reader.step(step.ts_event)
        if reader.terms() is None or digest_of(found) != step.digest:
            told = "none" if not found else "others"
            must = (
                f"{reader.folder} must have the candles of the journal's newest step, close {step.ts_event}"
            )
            yield Finding("candles", "failed", f"{must}; got {told}: {CURE}")
            return
        rows = journal.read(0, LOOKED_AT, topics=[STEP_DONE], newest_first=True)
        rows += journal.read(0, 1, topics=[STEP_DONE])
    finally:
        journal.close()
    days = sorted({day_of(row.event.ts_event) for row in rows})
    missing = [day for day in days if not (reader.folder / day).exists()]
    if missing:
        told = f"{len(missing)} of {len(days)} are gone, the first {missing[0]}"
        must = f"{reader.folder} must keep a file for each day of the journal's steps"
        yield Finding(
            "candles", "warning", f"{must}; {told}: restore them, or nothing before can be replayed"
        )
    else:
        yield Finding("candles", "ok", f"{len(days)} days in {reader.folder}")
