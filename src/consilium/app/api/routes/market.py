"""/api/market and /api/consensus: what was observed, forecast and concluded."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from consilium.app.api.access import needs, router, system_of
from consilium.app.api.answers import Candles, ConsensusPage, MarketStatus, Page
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.paging import After, Limit, page_of
from consilium.app.api.reading import read
from consilium.app.api.schemas import SYMBOL

routes = router("/api/market", "market")
consensus_routes = router("/api/consensus", "consensus")

Of = Annotated[str, Query(pattern=SYMBOL, description="Of which symbol.", examples=["BTCUSDT"])]
OfAny = Annotated[
    str | None, Query(pattern=SYMBOL, description="Of which symbol; all if not given.", examples=["BTCUSDT"])
]


@routes.get("/status", response_model=MarketStatus, **needs("read"))
async def market_status(request: Request) -> Response:
    """Return the feed, its symbols and how far it is."""
    return JsonBytes(as_json(await read(system_of(request).market_status)))


@routes.get("/candles", response_model=Candles, **needs("read"))
async def candles(request: Request, symbol: Of, limit: Limit = 100) -> Response:
    """Return the newest candles of a symbol."""
    found = await read(system_of(request).candles, symbol, limit)
    return JsonBytes(as_json({"symbol": symbol, "candles": list(found)}))


@routes.get("/predictions", response_model=Page, **needs("read"))
async def predictions(
    request: Request, symbol: OfAny = None, after: After = 0, limit: Limit = 100
) -> Response:
    """Return the forecasts of the models, in the order of the journal."""
    found = await read(system_of(request).predictions, symbol, after, limit)
    return JsonBytes(as_json(page_of(found, limit)))


@consensus_routes.get("", response_model=ConsensusPage, **needs("read"))
async def consensus(request: Request, symbol: OfAny = None, after: After = 0, limit: Limit = 100) -> Response:
    """Return the consensuses that were reached, in the order of the journal; direction 0 is DOWN, 2 is UP."""
    found = await read(system_of(request).consensus_history, symbol, after, limit)
    return JsonBytes(as_json(page_of(found, limit)))
