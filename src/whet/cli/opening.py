"""Open the run that a verb's options describe: continue one as it was made, or make one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from whet.cli.options import DataOptions, ModelOptions, RunOptions, Setting, TrainingOptions
from whet.cli.overrides import naming_options, overrides_of
from whet.errors import ConfigError
from whet.files import MANIFEST, read_json
from whet.models import DEFAULT_MODEL
from whet.run.recipe import Effort, merged
from whet.run.recipe_errors import Settings
from whet.run.settings import is_run, is_run_of, read_settings

if TYPE_CHECKING:
    from whet.generate.spending import Confirm
    from whet.run.folder import Run


class Bundle(Protocol):
    """A bundle of options that set recipe keys."""

    def settings(self) -> list[Setting]:
        """The recipe keys that its options set."""
        ...


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was typed about a run. `others` are the verb's other bundles of options."""

    data: str
    files: DataOptions
    model: ModelOptions
    run: RunOptions
    training: TrainingOptions | None = None
    others: Sequence[Bundle] = ()

    @property
    def folder(self) -> Path:
        """The run's folder: DATA if it is a run, --out, or runs/ with the last part of DATA."""
        path = Path(self.data)
        if is_run(path):
            return path
        if self.run.out is not None:
            return self.run.out
        name = path.resolve().stem if path.exists() else self.data.replace("/", "_")
        return Path("runs") / name

    @property
    def settings(self) -> list[Setting]:
        """All settings that options gave."""
        bundles: list[Bundle] = [self.model, self.run, *self.others]
        if self.training is not None:
            bundles.append(self.training)
        settings: list[Setting] = []
        for bundle in bundles:
            settings += bundle.settings()
        return settings

    @property
    def effort(self) -> Effort | None:
        """The value of --effort."""
        return self.training.effort if self.training else None

    @property
    def force(self) -> bool:
        """Whether --force is given."""
        return self.training is not None and self.training.force

    @property
    def is_plain(self) -> bool:
        """Whether no option says how the run is to be made."""
        return (
            self.model.model == DEFAULT_MODEL
            and not self.force
            and self.run.recipe is None
            and self.files.test_queries is None
            and not self.settings
        )

    def open(self, confirm: "Confirm", paraphrases: int = 0) -> "Run":
        """Open the run from the options, whatever its folder was made from.

        `paraphrases` is the number where no option gives one. A run as DATA is continued as it was
        made, and refuses options that say otherwise.
        """
        from whet.run.opening import open_run

        if is_run(Path(self.data)):
            self._check_continues()
            return self._reopen(confirm, paraphrases)
        with naming_options(self.settings):
            return open_run(
                self.data,
                self.model.model,
                self.folder,
                effort=self.effort or "standard",
                overrides=self._overrides(paraphrases),
                force=self.force,
                labels=self.files.labels,
                test_queries=self.files.test_queries,
                confirm=confirm,
            )

    def open_or_continue(self, confirm: "Confirm", paraphrases: int = 0) -> "Run":
        """Open the run. Without options a run of this data is continued as it was made."""
        if self.is_plain and is_run_of(self.folder, self.data):
            return self._reopen(confirm, paraphrases)
        return self.open(confirm, paraphrases)

    def _reopen(self, confirm: "Confirm", paraphrases: int) -> "Run":
        from whet.run.opening import reopen

        labels = self.files.labels
        return reopen(self.folder, labels, paraphrases=paraphrases, confirm=confirm)

    def _check_continues(self) -> None:
        if self.is_plain and self.run.out in (None, self.folder):
            return
        source = read_settings(self.folder).data or "the same, in memory"
        raise ConfigError(
            f"{self.folder} is a run, and its recipe stays as it is. To change it, or to make "
            f"another run (--out), give its data ({source}), --out, and every option that is to "
            "apply, also those that it was made with"
        )

    def _overrides(self, paraphrases: int) -> Settings:
        overrides = dict(overrides_of(self.run.recipe, self.settings))
        if self.effort is not None:
            del overrides["effort"]  # an argument of its own
        if not paraphrases:
            return overrides
        return merged({"generate": {"paraphrases": paraphrases}}, overrides)


def open_finished(path: Path) -> "Run":
    """Open a run with all its stages, made from its data and its recipe as they are now.

    Raises ConfigError otherwise.
    """
    from whet.data.read import content_fingerprint
    from whet.run.consistency import is_consistent
    from whet.run.opening import reopen

    run = reopen(path)
    if not (path / "model" / "modules.json").exists():
        raise ConfigError(f"{path} is not finished: it has no model. Finish it: whet tune {path}")
    evaluated = read_json(path / "evaluate" / MANIFEST)["inputs"]["data"]
    if evaluated != content_fingerprint(run.collection):
        raise ConfigError(
            f"the data of {path} is not what its results were made from: it has changed, or "
            f"another version of whet made them. Update them: whet tune {path}"
        )
    if not is_consistent(run):
        raise ConfigError(
            f"{path} holds results of different recipes: after its model was made, another command "
            "changed its recipe or one of its stages. Make them match: "
            f"whet tune {path}, or the command that made the model"
        )
    return run
