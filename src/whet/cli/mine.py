"""`whet mine`: the stages up to hard negatives."""

from whet.cli.bundles import bundled
from whet.cli.opening import RunRequest
from whet.cli.options import (
    DataArgument,
    DataOptions,
    MiningOptions,
    ModelOptions,
    OutputOptions,
    RunOptions,
    SyntheticOptions,
)
from whet.cli.terminal import confirmation, terminal


@bundled
def mine(
    data: DataArgument,
    files: DataOptions,
    model: ModelOptions,
    mining: MiningOptions,
    synthetic: SyntheticOptions,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Find hard negatives of each training query with the base model."""
    from whet.cli.show import show_stage
    from whet.pipeline import build

    request = RunRequest(data, files, model, run, others=(mining, synthetic))
    with terminal(output.quiet):
        opened = request.open_or_continue(confirmation(synthetic.yes, output.quiet))
        build(opened, until="mine")
    show_stage(opened.path, "mine", json=output.json)
