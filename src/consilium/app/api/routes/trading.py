"""/api/trading: the account, its orders and its fills; nothing here changes any of them."""

from collections.abc import Collection

from fastapi import Request
from starlette.responses import Response

from consilium.app.api.access import needs, router, system_of
from consilium.app.api.answers import Account, Page, Positions
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.paging import After, Limit, page_of
from consilium.app.api.reading import read
from consilium.app.api.streams import event_body

routes = router("/api/trading", "trading")

ORDERS = ("trading.order_sent", "trading.order_changed")
FILLS = ("trading.filled",)


@routes.get("/status", response_model=Account, **needs("read"))
async def account(request: Request) -> Response:
    """Return what the account is worth, and its positions."""
    return JsonBytes(as_json(await read(request.app.state.system.trading_status)))


@routes.get("/positions", response_model=Positions, **needs("read"))
async def positions(request: Request) -> Response:
    """Return what is held."""
    found = (await read(request.app.state.system.trading_status)).get("positions", [])
    rows = list(found.values()) if isinstance(found, dict) else list(found)
    return JsonBytes(as_json({"positions": rows}))


@routes.get("/orders", response_model=Page, **needs("read"))
async def orders(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """Return orders and what became of them, in the order of the journal."""
    return await _events(request, ORDERS, after, limit)


@routes.get("/fills", response_model=Page, **needs("read"))
async def fills(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """Return fills, in the order of the journal."""
    return await _events(request, FILLS, after, limit)


async def _events(request: Request, topics: Collection[str], after: int, limit: int) -> Response:
    system = system_of(request)
    found = await read(system.journal.read, after, limit, topics=topics)
    return JsonBytes(as_json(page_of([event_body(recorded) for recorded in found], limit)))
