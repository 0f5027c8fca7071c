"""/ui: a bare page with health, consensus and weights, live."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

routes = APIRouter(include_in_schema=False)

PAGE = (files("consilium.app.api") / "page.html").read_text(encoding="utf-8")


def _hashes(tag: str) -> str:
    """Return the hashes of what stands between such tags: only that may run, and nothing that is put in."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, flags=re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in found)


POLICY = (
    f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@routes.get("/ui")
@routes.get("/ui/")
async def page(request: Request) -> Response:  # noqa: ARG001 - routes look alike
    """Return the page; it asks for a key and keeps it in its tab only."""
    return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": POLICY})
