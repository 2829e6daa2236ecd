"""`whet teach`: the stages up to the teachers' scores."""

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    LossOptions,
    MiningOptions,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SyntheticOptions,
)
from whet.cli.terminal import confirmation, terminal


@bundled
def teach(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    loss: LossOptions,
    mining: MiningOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Score the training pairs with the teachers, if training uses their labels."""
    from whet.cli.show import show_stage
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, others=(loss, mining, synthetic))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        build(opened, until="teach")
    show_stage(opened.path, "teach", json=output.json)
