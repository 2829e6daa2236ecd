"""`whet train`: the stages up to training."""

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
def train(
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
    """Train; keep what is best on dev or by cross-validation."""
    from whet.cli.show import show_stage
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, training, (loss, mining, refresh, synthetic))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        build(opened, until="train")
    show_stage(opened.path, "train", summary="result.json", json=output.json)
