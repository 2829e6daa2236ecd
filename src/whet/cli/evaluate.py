"""`whet evaluate`: the stages up to the scores on the test queries."""

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    LossOptions,
    MiningOptions,
    ModelOptions,
    OutputOptions,
    RefreshOptions,
    RunOptions,
    SyntheticOptions,
    TrainingOptions,
)
from whet.cli.terminal import confirmation, terminal


@bundled
def evaluate(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    loss: LossOptions,
    training: TrainingOptions,
    mining: MiningOptions,
    refresh: RefreshOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Score base, tuned and BM25 on the test queries, with the verdict."""
    from whet.cli.show import show_json, show_verdict
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, training, (loss, mining, refresh, synthetic))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        build(opened, until="evaluate")
    if output.json:
        show_json(opened.result)
    else:
        show_verdict(opened.path)
