"""`whet compare`: a page on this machine that shows base and tuned results for any query, side by side."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from whet.errors import ConfigError, require
from whet.progress import say
from whet.serve.ranks import ModelPair, rank_both
from whet.templates import environment

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
NAMES = [
    HOST,
    "localhost",
]  # a page elsewhere that has its name resolve to this machine gets no answer
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
}


def create_app(pairing: ModelPair) -> "Starlette":
    """Make the application: GET / shows the examples, GET /?q=… the ranks of both models; nothing else, nothing stored.

    Raises MissingExtra when starlette is not installed.
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
        both = rank_both(pairing, query) if query else None
        return HTMLResponse(
            template.render(pairing=pairing, query=query, both=both), headers=HEADERS
        )

    return Starlette(
        routes=[Route("/", page)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=NAMES)],
    )


def run_locally(app: "Starlette", port: int) -> None:
    """Serve the app to this machine alone until Ctrl-C; port 0 takes a free one, and the address is said.

    Raises ConfigError when the port is taken.
    """
    require("uvicorn", "serve")
    import uvicorn

    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"port {port} of {HOST} is not available ({error.strerror}); choose another with --port"
        ) from error
    with (
        listener,
        suppress(KeyboardInterrupt),
    ):  # which does not come where the shell ignores it for background jobs
        say(f"Comparing at http://{HOST}:{listener.getsockname()[1]}/ (Ctrl-C stops)")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    say("Stopped.")
