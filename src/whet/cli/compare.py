"""`whet compare`: a local page that shows base and tuned side by side."""

from typing import TYPE_CHECKING, Annotated

import typer

from whet.cli.opening import open_finished
from whet.cli.options import RUN, QuietOption, RunArgument
from whet.cli.terminal import terminal
from whet.errors import require

if TYPE_CHECKING:
    from whet.run.folder import Run
    from whet.serve.ranks import ModelPair

EXAMPLES = 3  # queries that gained most, and as many that lost most


def compare(
    run: RunArgument,
    port: Annotated[int, typer.Option(rich_help_panel=RUN, help="Port on this machine.")] = 8765,
    quiet: QuietOption = False,
) -> None:
    """Open a local page that shows base and tuned side by side for any query."""
    from whet.serve.compare import create_app, run_locally

    for module in ("starlette", "uvicorn"):
        require(module, "serve")
    with terminal(quiet):
        run_locally(create_app(model_pair(open_finished(run))), port)


def model_pair(run: "Run") -> "ModelPair":
    """Both models of a finished run, with the queries whose ranking changed most as examples."""
    from whet.evaluate.slices import most_changed
    from whet.models import stored_encoder
    from whet.run.results import read_evaluation
    from whet.serve.ranks import ModelPair, SearchedModel

    _, rows, _ = read_evaluation(run.path)
    wins, losses = most_changed(rows, EXAMPLES)
    passages = list(run.passages.values())
    base = run.base_encoder
    tuned = stored_encoder(run.model, run.path)
    return ModelPair(
        collection=run.collection,
        base=SearchedModel(run.base, base.encoder, base.encode_passages(passages)),
        tuned=SearchedModel(
            str(run.path / "model"), tuned.encoder, tuned.encode_passages(passages)
        ),
        examples=(*wins, *losses),
    )
