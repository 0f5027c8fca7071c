"""The methods of a client as a type checker and an editor read them.

Printed by ``python tests/client_stub.py``; at run time `consilium.app.client.methods` makes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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

class Waits:
    """What can be asked by a client that waits for its answers."""

    def livez(self) -> Alive:
        """Whether the process answers."""

    def readyz(self) -> Readiness:
        """Whether the service can do its work; a service that cannot is an answer, no error."""

    def health(self) -> Health:
        """How the service is."""

    def metrics(self) -> str:
        """Figures in Prometheus' text form."""

    def ensemble_status(self) -> EnsembleStatus:
        """Rule, models, newest consensus."""

    def ensemble_models(self) -> list[ModelKnown]:
        """All that is known of each model."""

    def enable_model(self, model_type: str, enabled: bool) -> Done:
        """Let a model take part, or not."""

    def weigh_model(self, model_type: str, weight: float) -> Done:
        """Set the share of a model before experience."""

    def choose_strategy(self, strategy: str) -> Done:
        """Choose the consensus rule."""

    def report_performance(self, model_type: str, accuracy: float, profit_factor: float) -> Done:
        """Keep what was measured of a model."""

    def start_training(
        self, architecture: str, symbol: str, epochs: int = 100, batch_size: int = 32
    ) -> TrainingStatus:
        """Begin to train a model."""

    def training_status(self) -> TrainingStatus:
        """How far the training is."""

    def cancel_training(self) -> TrainingStatus:
        """End the training that runs."""

    def consensus(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Return consensuses, in the order of the journal."""

    def market_status(self) -> MarketStatus:
        """What is followed, and how far."""

    def candles(self, symbol: str, limit: int = 100) -> Candles:
        """Return the newest candles of a symbol."""

    def predictions(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Forecasts, in the order of the journal."""

    def trading_status(self) -> Account:
        """What the account is worth and holds."""

    def positions(self) -> Positions:
        """What is held."""

    def orders(self, after: int = 0, limit: int = 100) -> Page:
        """Orders and what became of them."""

    def fills(self, after: int = 0, limit: int = 100) -> Page:
        """Return fills, in the order of the journal."""

    def event_history(
        self, topics: Sequence[str] | None = None, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Page:
        """Events of the journal, page by page; newest first where ``before`` is given."""

    def publish(
        self, topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any]
    ) -> Published:
        """Publish an event of an outside system; the same source and sequence again changes nothing."""

    def council_status(self) -> FederationStatus:
        """Who sits, how many decisions there were, and what is in force."""

    def decisions(
        self,
        limit: int = 10,
        before: int | None = None,
        decision_type: str | None = None,
        role: str | None = None,
    ) -> Decisions:
        """Return decisions, newest first."""

    def council_policy(self) -> PolicyShown:
        """Return the limits in force."""

    def holds(self) -> Holds:
        """Return the restrictions in force."""

    def approvals(self) -> Approvals:
        """Return the loosenings that wait for another person."""

    def alerts(self) -> Alerts:
        """What somebody should know."""

    def explain_decision(self, decision_id: str) -> Explained:
        """What led to a decision, and what would release what it holds."""

    def change_mode(self, mode: str, reason: str, duration_minutes: int | None = None) -> ModeRuled | Waiting:
        """Place a mode, or ask for a looser one."""

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

    def change_profile(
        self, profile: str, reason: str, duration_minutes: int | None = None
    ) -> ProfileRuled | Waiting:
        """Place a capital profile, or ask for a looser one."""

    def change_universe(
        self, symbols: Sequence[str], reason: str, duration_minutes: int | None = None
    ) -> UniverseRuled | Waiting:
        """Restrict the symbols in which positions may be opened, or ask for more."""

    def change_allocation(
        self, model: str, weight: float, reason: str, duration_minutes: int | None = None
    ) -> AllocationRuled | Waiting:
        """Set the share of one model."""

    def approve(self, approval_id: str, reason: str) -> Ruled | Waiting:
        """Complete a loosening that another person has asked for."""

    def freeze(self, reason: str) -> Ruled:
        """Stop trading at once."""

    def review(self, what: str, reason: str) -> Noted:
        """Say that a freeze, reduce-only or a rebase was looked at."""

    def release_hold(self, hold_id: str, reason: str) -> Noted | Waiting:
        """End a hold of the operators."""

    def retire_source(self, source: str, reason: str) -> Noted:
        """Count a source no more that is silent."""

    def acknowledge(self, alert_id: str) -> Noted:
        """Say that an alert was seen."""

    def enable_role(self, role: str) -> RoleSwitched:
        """Let a role sit."""

    def disable_role(self, role: str) -> RoleSwitched:
        """Send a role out; what it holds stays."""

    def sessions(self) -> Sessions:
        """How every session stands."""

    def session_about(self, session: str) -> SessionAbout:
        """All that is agreed in a session, and how it stands."""

    def session_reports(self, session: str, since: int = 1) -> Reports:
        """Return the reports of the rounds from one on, the oldest first."""

    def session_owners(self, session: str) -> str:
        """Return the signed owner list as it was issued."""

    def create_session(self, terms: Mapping[str, Any]) -> SessionStands:
        """Begin a session, in the words of `NewSession`."""

    def start_session(self, session: str, reason: str) -> SessionStands:
        """Begin the rounds of a session."""

    def pause_session(self, session: str, reason: str) -> SessionStands:
        """End the round that is on, and begin no other."""

    def resume_session(self, session: str, reason: str) -> SessionStands:
        """Go on after a pause."""

    def cancel_session(self, session: str, reason: str) -> SessionStands:
        """End a session for good."""
