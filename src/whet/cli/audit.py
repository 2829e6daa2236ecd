"""`whet audit`: list passages that probably answer a training query though nobody marked them."""

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SyntheticOptions,
)
from whet.cli.terminal import confirmation, terminal


@bundled
def audit(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """After tune: list passages that probably answer a training query but are not marked so."""
    from whet.cli.show import show_json, show_suspects
    from whet.pipeline import build_audit
    from whet.stages.audit import read_summary, read_suspects

    request = RunRequest(data, files, model, run, others=(synthetic,))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        folder = build_audit(opened).path
    summary = read_summary(folder)
    if output.json:
        show_json({"stage": "audit", "folder": str(folder)} | summary.to_json())
    else:
        show_suspects(opened.path, summary, read_suspects(folder))
