"""/api/ensemble: exactly what seed 004 asks for, and ``training/cancel``."""

from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api.access import caller_of, council_sits, needs, router, system_of, trace_of
from consilium.app.api.answers import Done, EnsembleStatus, ModelKnown, TrainingStatus
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.problems import ApiProblem
from consilium.app.api.routes.commands import governed
from consilium.app.api.schemas import (
    STRATEGIES,
    ChooseStrategy,
    EnableModel,
    ReportPerformance,
    StartTraining,
    WeighModel,
)
from consilium.domain import (
    InvalidValue,
    ModelConfigured,
    PerformanceReported,
    RuleChanged,
    UnknownName,
    canonical_model,
)

routes = router("/api/ensemble", "ensemble")


async def _submit(request: Request, message: Any) -> str:
    """Hand a command to the system; return the id of its event."""
    try:
        event = await run_in_threadpool(
            system_of(request).submit, message, by=caller_of(request).person, trace_id=trace_of(request)
        )
    except InvalidValue as error:
        # The body was checked: what is refused now is refused for how things stand.
        raise ApiProblem(409, str(error)) from None
    return str(event.event_id)


def _now(request: Request) -> int:
    return int(system_of(request).clock.now_ns())


@routes.get("/status", response_model=EnsembleStatus, **needs("read"))
async def status(request: Request) -> Response:
    """Return rule, models with their settings, and the newest consensus."""
    answer: Response = request.app.state.bodies.status
    return answer


@routes.get("/models", response_model=list[ModelKnown], **needs("read"))
async def models(request: Request) -> Response:
    """Return all that is known of each model."""
    answer: Response = request.app.state.bodies.models
    return answer


@routes.post("/models/enable", response_model=Done, **needs("admin"))
async def enable(request: Request, body: EnableModel) -> Response:
    """Let a model take part, or not, from the next decision on."""
    model = canonical_model(body.model_type)
    event_id = await _submit(
        request,
        ModelConfigured(
            model=model, enabled=body.enabled, by=caller_of(request).person, ts_event=_now(request)
        ),
    )
    return _done(event_id, model_type=body.model_type, enabled=body.enabled)


@routes.post("/models/weight", response_model=Done, **needs("admin"))
async def weigh(request: Request, body: WeighModel) -> Response:
    """Set the share of a model before experience; a council holds it for a day, and spreads the rest."""
    model = canonical_model(body.model_type)
    event_id = await _held(request, model, body.weight) if council_sits(request) else None
    if event_id is None:
        event_id = await _submit(
            request,
            ModelConfigured(
                model=model, allocation=body.weight, by=caller_of(request).person, ts_event=_now(request)
            ),
        )
    return _done(event_id, model_type=body.model_type, weight=body.weight)


async def _held(request: Request, model: str, weight: float) -> str | None:
    """Hand a share to the council; return the id of its event, None where it weighs no such model."""
    try:
        found = await governed(
            request, "allocation", {"model": model, "weight": weight}, "set at /api/ensemble/models/weight"
        )
    except UnknownName:
        return None
    return str(found.event.event_id)


@routes.post("/strategy", response_model=Done, **needs("admin"))
async def choose(request: Request, body: ChooseStrategy) -> Response:
    """Choose the consensus rule."""
    if body.strategy not in STRATEGIES:
        raise ApiProblem(422, str(UnknownName("strategy", body.strategy, STRATEGIES)))
    event_id = await _submit(
        request,
        RuleChanged(rule=body.strategy, by=caller_of(request).person, ts_event=_now(request)),
    )
    return _done(event_id, strategy=body.strategy)


@routes.post("/performance/update", response_model=Done, **needs("publish"))
async def report(request: Request, body: ReportPerformance) -> Response:
    """Keep what somebody measured of a model; it is shown as reported and enters no weight."""
    event_id = await _submit(
        request,
        PerformanceReported(
            model=canonical_model(body.model_type),
            accuracy=body.accuracy,
            profit_factor=body.profit_factor,
            by=caller_of(request).person,
            ts_event=_now(request),
        ),
    )
    return _done(event_id, model_type=body.model_type)


@routes.post("/training/start", response_model=TrainingStatus, **needs("admin"))
async def start_training(request: Request, body: StartTraining) -> Response:
    """Begin to train a model in a process of its own; one at a time."""
    found = await run_in_threadpool(
        system_of(request).training.start,
        architecture=canonical_model(body.architecture),
        symbol=body.symbol,
        epochs=body.epochs,
        batch_size=body.batch_size,
        by=caller_of(request).person,
        trace_id=trace_of(request),
    )
    return JsonBytes(as_json(found))


@routes.get("/training/status", response_model=TrainingStatus, **needs("read"))
async def training_status(request: Request) -> Response:
    """Return how far the training is, or how the last one ended."""
    return JsonBytes(as_json(system_of(request).training.status()))


@routes.post("/training/cancel", response_model=TrainingStatus, **needs("admin"))
async def cancel_training(request: Request) -> Response:
    """End the training that is running; its finished models stay, its checkpoints too."""
    training = system_of(request).training
    cancelled = await run_in_threadpool(
        training.cancel, by=caller_of(request).person, trace_id=trace_of(request)
    )
    if not cancelled:
        raise ApiProblem(409, "a training must be running; got none: start one first")
    return JsonBytes(as_json(training.status()))


def _done(event_id: str, **more: Any) -> Response:
    return JsonBytes(as_json({"success": True, **more, "event_id": event_id}))
