"""What a run did and why, in the sentences that its report and its model card share."""

from collections.abc import Iterator, Sequence

from whet.data.split import trained_positives
from whet.evaluate.measures import PRIMARY
from whet.evaluate.verdict import points
from whet.records import InterpolationPoint
from whet.report.wording import excerpt, judged_on
from whet.run.folder import Run
from whet.run.results import (
    read_refreshes,
    read_teachers,
    read_training_result,
    training_curve,
)
from whet.run.training_result import TrainingResult
from whet.train.config import PRETRAINING_INTERPOLATION_WEIGHT
from whet.train.forgetting_config import PYDOC

QUOTED_QUERIES = 3  # synthetic queries that are shown
QUOTE_LENGTH = 80  # characters of each


def account(run: Run, *, quoting: bool = True) -> list[str]:
    """Sentences on a run whose model has been trained, in the order in which things were done.

    With `quoting`, some synthetic queries are shown.
    """
    result = read_training_result(run.path)
    return [
        *_training_data(run, result),
        *_test_overlap(run),
        *_soft_labels(run),
        *_synthetic_queries(run, quoting),
        *_judged(result),
        *_kept(run, result),
        *_forgetting_check(run, result),
    ]


def _training_data(run: Run, result: TrainingResult) -> Iterator[str]:
    train = run.recipe.train
    pairs = len(run.collection.pairs("train"))
    queries = len(run.collection.positives("train"))
    kind = "synthetic" if "train" in run.collection.synthetic else "real"
    sentences = [f"Trained on {pairs:,} pairs of {queries:,} {kind} queries."]
    additions = _additions(run)
    if additions:
        sentences.append(f"Among them are {_listed(additions)}.")
    if train.negatives:
        sentences.append(f"Hard negatives per query: {train.negatives}.")
    rounds = len(read_refreshes(run.path))
    if rounds:
        sentences.append(f"Rounds of re-mining: {rounds}.")
    sentences.append(f"Loss: {train.loss}.")
    sentences.append(f"Trained weights: {result.trial}.")
    yield " ".join(sentences)


def _additions(run: Run) -> list[str]:
    """What the training pairs hold beside the pairs of the data."""
    additions = []
    if run.settings.labels is not None:
        additions.append("marks of an audit")
    if run.recipe.generate.paraphrases:
        additions.append("paraphrases of queries")
    return additions


def _test_overlap(run: Run) -> Iterator[str]:
    """Synthetic training queries may be about passages that real test queries ask for."""
    synthetic = run.collection.synthetic
    if "train" not in synthetic or "test" in synthetic:
        return
    positives = run.collection.answering("test")
    shared = trained_positives(run.collection, "test")
    yield (
        f"Synthetic training queries were generated for {len(shared):,} of the "
        f"{len(positives):,} passages that answer test queries. "
        "Training did not see the test queries themselves."
    )


def _soft_labels(run: Run) -> Iterator[str]:
    summary = read_teachers(run.path)
    if summary is None:
        return
    if not summary.chosen:
        yield "No teacher was better than chance. Hard labels took the place of soft labels."
        return
    train = run.recipe.train
    sentence = f"Soft labels ({run.recipe.teach.labels}) come from {_listed(summary.chosen)}."
    if train.loss != "soft":
        sentence += f" Their weight beside hard labels is {train.soft_weight:g}."
    yield sentence


def _synthetic_queries(run: Run, quoting: bool) -> Iterator[str]:
    count = len(run.built_synthetic_queries)
    if not count:
        return
    sentence = (
        f"Before that, the model was trained on {count:,} synthetic queries for passages without "
        f"a real one (generator: {run.recipe.generate.generator})"
    )
    if quoting:
        quotes = [_quote(query.text) for query in run.built_synthetic_queries[:QUOTED_QUERIES]]
        sentence += f", such as {', '.join(quotes)}"
    weight = PRETRAINING_INTERPOLATION_WEIGHT
    yield f"{sentence}. Training on real queries started from interpolation weight {weight:.2f}."


def _quote(text: str) -> str:
    return f"“{excerpt(text, QUOTE_LENGTH)}”"


def _judged(result: TrainingResult) -> Iterator[str]:
    if not result.judged:
        return
    if result.judge == "dev":
        yield f"{result.judged:,} dev queries decided which model was kept."
        return
    yield (
        f"{result.judged:,} training queries are too few to keep some for a dev split, so "
        "cross-validation decided which model was kept. Each query was scored by a model that was "
        "trained without it. The last training used all queries."
    )


def _kept(run: Run, result: TrainingResult) -> Iterator[str]:
    """Which model was kept, and why not another one that scored higher."""
    if result.line and not result.share:
        yield (
            "The base model was kept. At every interpolation weight, the forgetting check fell by "
            f"more than {points(run.recipe.guard.budget)}."
        )
        return
    where = judged_on(result.judge)
    before = points(result.dev_base)
    after = points(result.dev_best)
    if result.kept == "base":
        yield f"The base model was kept. {PRIMARY} {where}: base {before}, trained {after}."
        return

    yield from _earlier_checkpoint(run, result)
    sentence = "The trained model was kept"
    if result.share is not None:
        sentence += f", at interpolation weight {result.share:.2f}"
    yield f"{sentence}. {PRIMARY} {where}: {before} → {after}."
    if result.dev_best < result.dev_base:
        if run.force:
            yield "That is less than base. The model was kept because --force was given."
        else:
            yield "That is less than base, but so few queries do not show it to be worse."
    yield from _higher_point(run, result)


def _earlier_checkpoint(run: Run, result: TrainingResult) -> Iterator[str]:
    """A checkpoint that scored higher on dev than the last one, where the last one was taken.

    `whet.train.callbacks.TakeLast` takes it unless dev shows it to be worse.
    """
    if result.judge != "dev" or not result.judged:
        return
    scores = {}
    _, *trained_points = training_curve(run.path)  # without the base model
    for point in trained_points:
        if point.dev is not None:
            scores[point.step] = points(point.dev)
    if not scores:
        return
    best_step = max(scores, key=lambda step: float(scores[step]))
    taken_step = result.best_step
    # Both are compared as they are shown: to one decimal of points.
    if float(scores[best_step]) > float(scores[taken_step]):
        yield (
            f"The last weights were taken (step {taken_step}, {PRIMARY} {scores[taken_step]} on "
            f"dev). Step {best_step} had {scores[best_step]}, but {result.judged:,} queries do not "
            "show it to be better."
        )


def _higher_point(run: Run, result: TrainingResult) -> Iterator[str]:
    """An interpolation weight that scored higher on dev than the one that was kept."""
    if not result.line:
        return
    highest = max(result.line, key=lambda point: point.dev)
    if float(points(highest.dev)) <= float(points(result.dev_best)):
        return
    scored = f"Interpolation weight {highest.share:.2f} scored {points(highest.dev)}"
    budget = run.recipe.guard.budget
    if _is_within_budget(highest, result.guard_base, budget):
        yield f"{scored}, but so few queries do not show it to be better."
    else:
        yield f"{scored}, but its forgetting check fell by more than {points(budget)}."


def _is_within_budget(point: InterpolationPoint, guard_base: float | None, budget: float) -> bool:
    if guard_base is None or point.guard is None:
        return True
    return point.guard >= guard_base - budget


def _forgetting_check(run: Run, result: TrainingResult) -> Iterator[str]:
    if result.guard_base is None or result.guard_tuned is None:
        return
    name = run.recipe.guard.data
    if name == PYDOC:
        name += " (documentation of Python's standard library)"
    before = points(result.guard_base)
    after = points(result.guard_tuned)
    yield f"Forgetting check on {name}: {PRIMARY} {before} → {after}."


def _listed(names: Sequence[str]) -> str:
    """Join names for a sentence.

    >>> _listed(["base", "bm25", "late"])
    'base, bm25 and late'
    """
    *first, last = names
    if not first:
        return last
    return f"{', '.join(first)} and {last}"
