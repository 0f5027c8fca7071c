"""The client for programs that wait."""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from consilium.app.api.answers import (
    Account,
    Alive,
    Candles,
    Done,
    EnsembleStatus,
    Health,
    MarketStatus,
    ModelKnown,
    Page,
    Positions,
    Published,
    Readiness,
    TrainingStatus,
)
from consilium.app.api.federation import (
    Alerts,
    AllocationRuled,
    Approvals,
    Decisions,
    Explained,
    FederationStatus,
    Holds,
    ModeRuled,
    Noted,
    PolicyShown,
    ProfileRuled,
    RiskRuled,
    RoleSwitched,
    Ruled,
    UniverseRuled,
    Waiting,
)
from consilium.app.api.network import Reports, SessionAbout, Sessions, SessionStands
from consilium.app.client import calls, council_calls, network_calls
from consilium.app.client.call import Call
from consilium.app.client.carrying import (
    TRIES,
    answer_of,
    error_of,
    headers_of,
    pause_after,
    request_of,
    trusting,
)
from consilium.app.client.events import EventReader, ServedEvent, params_of

T = TypeVar("T")


class Client:
    """Asks the API, and waits for its answers; used in a ``with`` block.

    A request whose connection fails, or that the service cannot take just now, is sent again; one that writes
    carries an Idempotency-Key, so that it is carried out once.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8001``.
    key
        API key; empty for the routes that need none.
    timeout_s
        Of one request.
    verify
        Whether certificates are checked, or a file of those to trust.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8001", key="csl_...")
    >>> client.url
    'http://127.0.0.1:8001'
    """

    def __init__(
        self, url: str, *, key: str = "", timeout_s: float = 10.0, verify: bool | str = True
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers_of(key),
            timeout=timeout_s,
            verify=trusting(verify),
            trust_env=False,
        )

    def __call__(self, call: Call[T]) -> T:
        """Carry out a call.

        Raises
        ------
        ApiError
            The API refused.
        httpx.TransportError
            The service could not be reached.
        """
        asked = request_of(call)
        for tried in range(1, TRIES + 1):
            try:
                response = self._http.request(**asked)
            except httpx.TransportError:
                pause = pause_after(call, None, tried)
                if pause is None:
                    raise
            else:
                pause = pause_after(call, response, tried)
                if pause is None:
                    return answer_of(call, response)
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def events(
        self, topics: Sequence[str] | None = None, *, after: int | None = None
    ) -> Iterator[ServedEvent]:
        """Follow the journal without end; a stream that breaks is taken up again where it was.

        Parameters
        ----------
        topics
            Only these; all if not given.
        after
            Place after which to begin; the journal's end if not given.

        Raises
        ------
        ApiError
            The API refused.
        """
        reader, failed = EventReader(after), 0
        while True:
            try:
                with self._http.stream(
                    "GET", "/api/events", params=params_of(topics), headers=reader.headers(), timeout=60.0
                ) as response:
                    if not response.is_success and response.status_code < 500:
                        raise error_of(response.status_code, response.read())
                    response.raise_for_status()
                    failed = 0
                    reader.begin()
                    for line in response.iter_lines():
                        event = reader.take(line)
                        if event is not None:
                            yield event
            except (httpx.TransportError, httpx.HTTPStatusError):
                failed += 1
            time.sleep(min(5.0, 0.1 * 2.0 ** min(failed, 6)))

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def livez(self) -> Alive:
        """Whether the process answers."""
        return self(calls.livez())

    def readyz(self) -> Readiness:
        """Whether the service can do its work; a service that cannot is an answer, no error."""
        return self(calls.readyz())

    def health(self) -> Health:
        """How the service is."""
        return self(calls.health())

    def metrics(self) -> str:
        """Figures in Prometheus' text form."""
        return self(calls.metrics())

    def ensemble_status(self) -> EnsembleStatus:
        """Rule, models, newest consensus."""
        return self(calls.ensemble_status())

    def ensemble_models(self) -> list[ModelKnown]:
        """All that is known of each model."""
        return self(calls.ensemble_models())

    def enable_model(self, model_type: str, enabled: bool) -> Done:
        """Let a model take part, or not."""
        return self(calls.enable_model(model_type, enabled))

    def weigh_model(self, model_type: str, weight: float) -> Done:
        """Set the share of a model before experience."""
        return self(calls.weigh_model(model_type, weight))

    def choose_strategy(self, strategy: str) -> Done:
        """Choose the consensus rule."""
        return self(calls.choose_strategy(strategy))

    def report_performance(self, model_type: str, accuracy: float, profit_factor: float) -> Done:
        """Keep what was measured of a model."""
        return self(calls.report_performance(model_type, accuracy, profit_factor))

    def start_training(
        self, architecture: str, symbol: str, epochs: int = 100, batch_size: int = 32
    ) -> TrainingStatus:
        """Begin to train a model."""
        return self(calls.start_training(architecture, symbol, epochs, batch_size))

    def training_status(self) -> TrainingStatus:
        """How far the training is."""
        return self(calls.training_status())

    def cancel_training(self) -> TrainingStatus:
        """End the training that runs."""
        return self(calls.cancel_training())

    def consensus(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Return consensuses, in the order of the journal."""
        return self(calls.consensus(symbol, after, limit))

    def market_status(self) -> MarketStatus:
        """What is followed, and how far."""
        return self(calls.market_status())

    def candles(self, symbol: str, limit: int = 100) -> Candles:
        """Return the newest candles of a symbol."""
        return self(calls.candles(symbol, limit))

    def predictions(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Forecasts, in the order of the journal."""
        return self(calls.predictions(symbol, after, limit))

    def trading_status(self) -> Account:
        """What the account is worth and holds."""
        return self(calls.trading_status())

    def positions(self) -> Positions:
        """What is held."""
        return self(calls.positions())

    def orders(self, after: int = 0, limit: int = 100) -> Page:
        """Orders and what became of them."""
        return self(calls.orders(after, limit))

    def fills(self, after: int = 0, limit: int = 100) -> Page:
        """Return fills, in the order of the journal."""
        return self(calls.fills(after, limit))

    def event_history(
        self,
        topics: Sequence[str] | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
    ) -> Page:
        """Events of the journal, page by page; newest first where ``before`` is given."""
        return self(calls.event_history(topics, after, before, limit))

    def publish(
        self, topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any]
    ) -> Published:
        """Publish an event of an outside system; the same source and sequence again changes nothing."""
        return self(
            calls.publish(topic, source=source, sequence=sequence, ts_event=ts_event, payload=payload)
        )

    # the council

    def council_status(self) -> FederationStatus:
        """Who sits, how many decisions there were, and what is in force."""
        return self(council_calls.council_status())

    def decisions(
        self,
        limit: int = 10,
        before: int | None = None,
        decision_type: str | None = None,
        role: str | None = None,
    ) -> Decisions:
        """Return decisions, newest first."""
        return self(council_calls.decisions(limit, before, decision_type, role))

    def council_policy(self) -> PolicyShown:
        """Return the limits in force."""
        return self(council_calls.council_policy())

    def holds(self) -> Holds:
        """Return the restrictions in force."""
        return self(council_calls.holds())

    def approvals(self) -> Approvals:
        """Return the loosenings that wait for another person."""
        return self(council_calls.approvals())

    def alerts(self) -> Alerts:
        """What somebody should know."""
        return self(council_calls.alerts())

    def explain_decision(self, decision_id: str) -> Explained:
        """What led to a decision, and what would release what it holds."""
        return self(council_calls.explain_decision(decision_id))

    def change_mode(self, mode: str, reason: str, duration_minutes: int | None = None) -> ModeRuled | Waiting:
        """Place a mode, or ask for a looser one."""
        return self(council_calls.change_mode(mode, reason, duration_minutes))

    def adjust_risk(
        self,
        reason: str,
        max_leverage: float | None = None,
        max_position_size_usd: float | None = None,
        max_drawdown_pct: float | None = None,
        max_exposure_pct: float | None = None,
        stop_loss_multiplier: float | None = None,
        duration_minutes: int | None = None,
    ) -> RiskRuled | Waiting:
        """Place limits, at least one, or ask for looser ones."""
        return self(
            council_calls.adjust_risk(
                reason,
                max_leverage,
                max_position_size_usd,
                max_drawdown_pct,
                max_exposure_pct,
                stop_loss_multiplier,
                duration_minutes,
            )
        )

    def change_profile(
        self, profile: str, reason: str, duration_minutes: int | None = None
    ) -> ProfileRuled | Waiting:
        """Place a capital profile, or ask for a looser one."""
        return self(council_calls.change_profile(profile, reason, duration_minutes))

    def change_universe(
        self, symbols: Sequence[str], reason: str, duration_minutes: int | None = None
    ) -> UniverseRuled | Waiting:
        """Restrict the symbols in which positions may be opened, or ask for more."""
        return self(council_calls.change_universe(symbols, reason, duration_minutes))

    def change_allocation(
        self, model: str, weight: float, reason: str, duration_minutes: int | None = None
    ) -> AllocationRuled | Waiting:
        """Set the share of one model."""
        return self(council_calls.change_allocation(model, weight, reason, duration_minutes))

    def approve(self, approval_id: str, reason: str) -> Ruled | Waiting:
        """Complete a loosening that another person has asked for."""
        return self(council_calls.approve(approval_id, reason))

    def freeze(self, reason: str) -> Ruled:
        """Stop trading at once."""
        return self(council_calls.freeze(reason))

    def review(self, what: str, reason: str) -> Noted:
        """Say that a freeze, reduce-only or a rebase was looked at."""
        return self(council_calls.review(what, reason))

    def release_hold(self, hold_id: str, reason: str) -> Noted | Waiting:
        """End a hold of the operators."""
        return self(council_calls.release_hold(hold_id, reason))

    def retire_source(self, source: str, reason: str) -> Noted:
        """Count a source no more that is silent."""
        return self(council_calls.retire_source(source, reason))

    def acknowledge(self, alert_id: str) -> Noted:
        """Say that an alert was seen."""
        return self(council_calls.acknowledge(alert_id))

    def enable_role(self, role: str) -> RoleSwitched:
        """Let a role sit."""
        return self(council_calls.enable_role(role))

    def disable_role(self, role: str) -> RoleSwitched:
        """Send a role out; what it holds stays."""
        return self(council_calls.disable_role(role))

    # learning together

    def sessions(self) -> Sessions:
        """How every session of learning together stands."""
        return self(network_calls.sessions())

    def session_about(self, session: str) -> SessionAbout:
        """All that is agreed in a session, and how it stands."""
        return self(network_calls.session_about(session))

    def session_reports(self, session: str) -> Reports:
        """Return the reports of all rounds, the oldest first."""
        return self(network_calls.session_reports(session))

    def session_owners(self, session: str) -> str:
        """Return the signed owner list as it was issued."""
        return self(network_calls.session_owners(session))

    def create_session(self, terms: Mapping[str, Any]) -> SessionStands:
        """Begin a session, in the words of `consilium.app.api.network.NewSession`."""
        return self(network_calls.create_session(terms))

    def start_session(self, session: str, reason: str) -> SessionStands:
        """Begin the rounds of a session."""
        return self(network_calls.start_session(session, reason))

    def pause_session(self, session: str, reason: str) -> SessionStands:
        """End the round that is on, and begin no other."""
        return self(network_calls.pause_session(session, reason))

    def resume_session(self, session: str, reason: str) -> SessionStands:
        """Go on after a pause."""
        return self(network_calls.resume_session(session, reason))

    def cancel_session(self, session: str, reason: str) -> SessionStands:
        """End a session for good."""
        return self(network_calls.cancel_session(session, reason))
