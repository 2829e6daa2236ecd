"""`whet tune`: the whole pipeline, from data to a tuned model and its report."""

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
def tune(
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
    """The whole pipeline: check, mine, generate, teach, train, evaluate, report, model."""
    from whet.cli.show import show_json, show_places, show_verdict
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, training, (loss, mining, refresh, synthetic))
    with terminal(output.quiet):
        tuned = build(request.open(confirmation(synthetic.yes, output.quiet)))
    if output.json:
        show_json(tuned.result)
        return
    show_verdict(tuned.path)
    show_places(tuned.path)
