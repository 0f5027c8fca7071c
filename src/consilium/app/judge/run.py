"""The judge: registered, developed, opened once, compared, taken apart, controlled, and put into words."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from consilium import __version__
from consilium.app.backtest.assessment import figures_of, reliability_of
from consilium.app.backtest.economics import Economics
from consilium.app.backtest.fills_section import book_fills, fills_of, notes_on_fills
from consilium.app.backtest.registration import Material, Registered, registered
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.sections import (
    consensus_section,
    data_section,
    fold_section,
    notes_on,
    told_of_rival,
)
from consilium.app.bootstrap import factories, teaching_of
from consilium.app.consensus_store import place_of
from consilium.app.history import measured
from consilium.app.judge.controls import against_mirror, controls_section, dataset_start, run_controls
from consilium.app.judge.economics import Trials, economics_section
from consilium.app.judge.examination import Examination, examine
from consilium.app.judge.forecasting import FEWEST_FOLDS, LOCKBOX_FOLDS, Developed, cut_all, folds_of
from consilium.app.judge.interruption import Looking, told_if_opened
from consilium.app.judge.parts import (
    Lockbox,
    ablations_section,
    cross_validation_section,
    diversity_section,
)
from consilium.app.judge.playing import play_all
from consilium.app.judge.primary import plain_comparison
from consilium.app.judge.secondary import months_section, secondary_section
from consilium.app.judge.split import DEVELOPMENT, Split, unseen_symbols
from consilium.app.judge.table import Played, Variant, Variants, table_section, variant_returns
from consilium.app.labelling import CANDLE
from consilium.app.openings import open_outcomes, told
from consilium.app.stages import ProgressCall, silent
from consilium.domain import UsageError, to_iso
from consilium.ensemble import PRESETS
from consilium.market.candles import CandleSeries
from consilium.training.cross_validation import cross_validate, embargo_of
from consilium.training.judge import cluster_trials
from consilium.training.labels import LabelSpec
from consilium.training.runs import Opening, RunTable, market_of, past_verdicts

if TYPE_CHECKING:
    from consilium.app.backtest.book_fills import BookFills

SCHEMA = "consilium.judge/1"


def judge(
    request: BacktestRequest, *, controls: bool = True, progress: ProgressCall = silent
) -> dict[str, Any]:
    """Judge an ensemble by the whole protocol and return the report as plain JSON.

    Parameters
    ----------
    request
        Data, models, rule, trust, gates: what is judged.
    controls
        Whether the controls are run; a report without them says so.
    progress
        Called as the stages advance.

    Raises
    ------
    LockboxLeftOpen
        Ctrl-C or SIGTERM came when the lock-box was open already.
    ConsiliumError
        Data, names or settings that do not allow it; one line with the cure.
    """
    if request.settings.training.label != CANDLE:
        asked = f"--label {request.settings.training.label}"
        raise UsageError("judge reads the label of candles", asked, "leave --label out")
    material = Material.read(request, progress)
    config = material.registration(
        unseen=list(unseen_symbols(tuple(material.observed.panel))),
        development=DEVELOPMENT,
        folds={"development": folds_of(request), "fewest": FEWEST_FOLDS, "lockbox": LOCKBOX_FOLDS},
        comparators=["climatology", "best single model on development", "equal-weight mean"],
    )
    table = material.run_table()
    past = past_verdicts(table)
    with told_if_opened(table) as looking, registered("judge", material, table, config) as entry:
        looking.run_id = entry.row.run_id
        report = _Judgement(material, table, entry, looking, progress).report(controls)
        entry.row.record(_headline(report))
    return entry.signed(report, table.trials()) | {"past": past}


class _Judgement:
    """One run of the protocol, section by section."""

    def __init__(
        self,
        material: Material,
        table: RunTable,
        entry: Registered,
        looking: Looking,
        progress: ProgressCall,
    ) -> None:
        self.request, self.observed, self.features = material.request, material.observed, material.features
        self.table, self.row, self.config_hash, self.progress = table, entry.row, entry.config_hash, progress
        self.seed, self.jobs = self.request.settings.training.seed, self.request.settings.training.jobs
        self.looking = looking
        self.earlier: tuple[Opening, ...] = ()
        self.validated: dict[str, Any] = {}
        self.recorded: BookFills | None = None

    def report(self, controls: bool) -> dict[str, Any]:
        """Carry out the protocol."""
        request, progress = self.request, self.progress
        self.recorded = book_fills(request, self.observed)
        progress("features and labels", 0, 1)
        cut = partial(cut_all, request)
        what = f"a judgement in {folds_of(request)} + {LOCKBOX_FOLDS} folds"
        with measured(self.observed.panel, self.features, request.horizon, cut, what):
            spec, observed = LabelSpec(horizon=request.horizon), self.observed
            dataset = observed.dataset(self.features, spec)
            cut(dataset)
        progress("features and labels", 1, 1)
        presets = (request.gates, *(name for name in PRESETS if name != request.gates))
        found = examine(
            request,
            dataset,
            presets,
            before_development=self._develop,
            before_opening=self._open,
            consensuses=place_of(request.settings.data_dir, self.row.run_id),
            progress=progress,
        )
        sections = self._forecasts(found) | self._economics(found)
        sections["controls"] = self._controls(found.split) if controls else None
        sections["data"] = data_section(self.observed, dataset, self.features) | {
            "unseen": list(found.split.unseen)
        }
        return {"schema": SCHEMA, "version": __version__} | sections | self._words(found, sections)

    def _develop(self, split: Split) -> None:
        """Write down that the outcomes of the development part are read now."""
        self.looking.ts_lockbox = split.ts_lockbox
        self._record(None, split.ts_lockbox - 1)

    def _open(self, split: Split, developed: Developed) -> None:
        """Cross-validate while the lock-box is closed; write down that it is opened now, and for what."""
        request, part = self.request, split.development()
        self.validated = cross_validation_section(
            cross_validate(
                part,
                factories(request.models, part.feature_names, request.settings.training),
                embargo_ns=embargo_of(part),
                seed=self.seed,
                jobs=self.jobs,
                teaching=teaching_of(request.settings.training),
                progress=lambda done, total, text: self.progress("cross-validate", done, total, text),
            ),
            part.interval_ns,
        )
        self.row.record({"best_single": developed.best_single})
        self.earlier = self._record(split.ts_lockbox, int(split.dataset.ts_event[-1]))

    def _record(self, first: int | None, last: int) -> tuple[Opening, ...]:
        return open_outcomes(self.row, self.observed, seed=self.seed, first=first, last=last)

    def _forecasts(self, found: Examination) -> dict[str, Any]:
        dataset, judged, request = found.dataset, found.judged, self.request
        horizon, seed = request.horizon, self.seed
        names = (*found.lockbox.probabilities, "consensus")
        figures: dict[str, dict[str, Any]] = {}
        for done, name in enumerate(names):
            self.progress("figures with intervals", done, len(names), name)
            figures[name] = figures_of(dataset, judged, name, horizon=horizon, seed=seed)
        self.progress("figures with intervals", len(names), len(names))
        members = _members(request, found)
        primary = found.primary
        return {
            "split": self._split(found),
            "development": {
                "best_single": found.developed.best_single,
                "models": {name: dict(told) for name, told in found.developed.figures.items()},
                "cross_validation": self.validated,
            },
            "models": {name: figures[name] for name in members},
            "baselines": {name: figures[name] for name in request.baselines if name in figures},
            "consensus": figures["consensus"] | consensus_section(found.pooled[request.gates], found.pooled),
            "primary": primary.verdict.as_dict(),
            "direction": {"word": primary.direction.word, "text": primary.direction.text},
            "mirror": plain_comparison(against_mirror(found, request)),
            "unseen": primary.unseen,
            "months": months_section(dataset, judged, horizon=horizon),
            "diversity": diversity_section(dataset, judged, members),
            "calibration": {name: reliability_of(dataset, judged, name) for name in ("consensus", *members)},
            "weights": found.pooled[request.gates].weights,
        }

    def _economics(self, found: Examination) -> dict[str, Any]:
        request, progress = self.request, self.progress
        economics = Economics(request, self.observed.panel, dataset_start(found), self.recorded)
        played = play_all(request, found.dataset, found.whole, jobs=self.jobs, progress=progress)
        variants = variant_returns(economics, found.dataset, found.lockbox, played)
        section = economics_section(
            request,
            found.dataset,
            found.lockbox,
            found.pooled,
            economics,
            trials=self._trials(variants, found),
            seed=self.seed,
            progress=progress,
        )
        self._keep_account(section)
        self._keep_variants(variants)
        return {
            "table": table_section(
                request, found.dataset, found.lockbox, played, variants, progress=progress
            ),
            "secondary": self._secondary(found, played),
            "economics": section,
            **fills_of(economics, found.pooled[request.gates].signals),
            "ablations": ablations_section(
                request, self._taken_apart(found, economics), seed=self.seed, progress=progress
            ),
        }

    def _secondary(self, found: Examination, played: Mapping[Variant, Played]) -> dict[str, Any]:
        log_pool = played["log_pool", self.request.trust].probabilities[found.first_place :]
        return secondary_section(
            found.dataset,
            found.judged,
            found.lockbox,
            pool_models=_members(self.request, found),
            log_pool=log_pool[found.judged.places],
            horizon=self.request.horizon,
            seed=self.seed,
        )

    def _taken_apart(self, found: Examination, economics: Economics) -> Lockbox:
        return Lockbox(
            dataset=found.dataset,
            whole=found.whole,
            first_place=found.first_place,
            forecasts=found.lockbox,
            pooled=found.pooled[self.request.gates],
            judged=found.judged,
            economics=economics,
        )

    def _keep_account(self, section: Mapping[str, Any]) -> None:
        """Keep the daily returns of the account, for later deflation."""
        daily = np.array(section["daily"])
        self.row.keep_returns(daily[:, 0].astype(np.int64), daily[:, 1], "account")

    def _keep_variants(self, variants: Variants) -> None:
        """Keep the mean returns of each cluster of variants that traded, for later deflation."""
        moving = variants.daily[:, variants.trades > 0]
        if not moving.shape[1]:
            return
        labels = cluster_trials(moving)
        for number, label in enumerate(np.unique(labels)):
            self.row.keep_returns(variants.day, moving[:, labels == label].mean(axis=1), f"variants {number}")

    def _trials(self, variants: Variants, found: Examination) -> Trials:
        """Gather what was tried now and by earlier runs over the same days."""
        earlier = self.table.returns_of_overlapping(
            self.row.run_id,
            variants.day,
            market=market_of(self.observed.source, self.seed),
            symbols=found.dataset.symbols,
        )
        return Trials(
            day=variants.day,
            daily=variants.daily,
            names=tuple("/".join(name) for name in variants.names),
            earlier=[
                (name, variants.day, returns)
                for name, returns in zip(earlier.names, earlier.returns.T, strict=True)
            ],
            aborted=earlier.aborted,
        )

    def _split(self, found: Examination) -> dict[str, Any]:
        split, events = found.split, found.dataset.ts_event
        newest = int(events[-1])
        before = events < split.ts_lockbox
        strange = ~split.seen
        return {
            "development": {
                "first": to_iso(int(events[0])),
                "last": to_iso(int(events[before][-1])),
                "rows": int(before.sum()),
                "folds": [fold_section(f, split.ts_lockbox - 1) for f in found.developed.forecasts.folds],
            },
            "lockbox": {
                "first": to_iso(split.ts_lockbox),
                "last": to_iso(newest),
                "rows": len(found.lockbox.rows),
                "folds": [fold_section(f, newest) for f in found.lockbox.folds],
                "openings": len({o.run_id for o in self.earlier}),
                "opened_by": [
                    {"run": o.run_id, "kind": o.kind, "started": to_iso(o.ts_started)} for o in self.earlier
                ],
                "text": told(self.earlier, self.config_hash),
            },
            "unseen": {
                "symbols": list(split.unseen),
                "first": to_iso(split.ts_unseen),
                "last": to_iso(newest),
                "rows": int(strange.sum()),
            }
            if split.unseen
            else None,
        }

    def _controls(self, split: Split) -> dict[str, Any]:
        panel = {
            symbol: _before(series, split.ts_lockbox)
            for symbol, series in self.observed.panel.items()
            if symbol not in split.unseen and series.ts_close[0] < split.ts_lockbox
        }
        observed = self.observed
        found = run_controls(
            self.request, panel, self.features, self.progress, observed.books, observed.snapshots
        )
        return controls_section(found)

    def _words(self, found: Examination, sections: Mapping[str, Any]) -> dict[str, Any]:
        primary, request = found.primary, self.request
        figures = {
            **sections["models"],
            **sections["baselines"],
            "consensus": sections["consensus"],
        }
        unseen = primary.unseen["text"] if primary.unseen else ""
        parts = [primary.verdict.text, primary.direction.text, unseen, told_of_rival(request, figures)]
        text, trading = " ".join(filter(None, parts)), sections["economics"]
        notes = notes_on(request, self.observed, self.features, figures)
        if self.recorded is not None:
            notes += notes_on_fills(self.recorded)
        if sections["controls"] is None:
            notes.append(
                "The controls were left out: nothing shows that this run would stay silent on noise."
            )
        return {
            "judgement": {
                "word": primary.verdict.word,
                "text": text,
                "direction": primary.direction.word,
                "trading_word": trading["word"],
                "trading_text": trading["text"],
            },
            "verdict": f"{text} {trading['text']}",
            "notes": notes,
            "failures": [f"{f.model} failed in fold {f.fold + 1}: {f.error}" for f in found.whole.failures],
        }


def _members(request: BacktestRequest, found: Examination) -> tuple[str, ...]:
    return tuple(name for name in request.models if name in found.lockbox.probabilities)


def _before(series: CandleSeries, ts: int) -> CandleSeries:
    return series.slice(0, int(np.searchsorted(series.ts_close, ts)))


def _headline(report: Mapping[str, Any]) -> dict[str, Any]:
    account = report["economics"]["accounts"][0]
    return {
        "verdict": report["judgement"]["word"],
        "trading_verdict": report["judgement"]["trading_word"],
        "data": report["data"]["source"],
        "log_loss": report["consensus"]["log_loss"]["value"],
        "brier": report["consensus"]["brier"]["value"],
        "net_return": account["net_return"],
        "sharpe": account["sharpe"],
        "trades": account["trades"],
    }
