"""`whet compare`: a local page that shows base and tuned results for any query, side by side."""

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from whet.errors import ConfigError, require
from whet.serve.ranks import ModelPair, rank_both
from whet.templates import environment

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"

# A page elsewhere whose name resolves to this machine gets no answer (DNS rebinding).
ALLOWED_HOSTS = [HOST, "localhost"]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
}

logger = logging.getLogger(__name__)


def create_app(models: ModelPair) -> "Starlette":
    """Make the application. GET / shows the examples, GET /?q=… the ranks by both models.

    Nothing is stored. Raises MissingExtra when starlette is not installed.
    """
    require("starlette", "serve")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    templates = environment("whet.serve", autoescape=True)
    template = templates.get_template("compare.html.j2")

    def page(request: "Request") -> "Response":
        query = request.query_params.get("q", "").strip()
        results = rank_both(models, query) if query else None
        html = template.render(models=models, query=query, results=results)
        return HTMLResponse(html, headers=HEADERS)

    return Starlette(
        routes=[Route("/", page)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS)],
    )


def run_locally(app: "Starlette", port: int) -> None:
    """Serve the app to this machine alone until Ctrl-C, and log its address.

    Port 0 takes a free port. Raises ConfigError when the port is taken.
    """
    require("uvicorn", "serve")
    import uvicorn

    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"port {port} of {HOST} is not available ({error.strerror}); choose another with --port"
        ) from error
    _, bound_port = listener.getsockname()
    # A shell lets background jobs ignore Ctrl-C, so no KeyboardInterrupt may come.
    with listener, suppress(KeyboardInterrupt):
        logger.info(f"Comparing at http://{HOST}:{bound_port}/ (Ctrl-C stops)")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        server.run(sockets=[listener])
    logger.info("Stopped.")
