"""What a run did, and why, in the sentences that its report and its model card share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whet.artifacts import read_json, read_jsonl
from whet.data.split import trained_positives
from whet.evaluate.measures import PRIMARY
from whet.evaluate.verdict import points
from whet.report.contents import excerpt
from whet.run.folder import RECIPE, Run
from whet.run.results import count_written, read_judge, read_refreshes, read_teachers
from whet.train.config import PRETRAINING_INTERPOLATION_WEIGHT
from whet.train.forgetting_config import PYDOC

SAMPLES, SAMPLE = 3, 80  # written queries that are shown, and characters of each


def account(run: Run, *, quoting: bool = True) -> list[str]:
    """Plain sentences, one a step, on a run whose model has been trained; with `quoting`, some of what was written."""
    found = read_json(run.path / "train" / "result.json")
    by = read_judge(run)
    return [
        *_learned(run, str(found["trial"])),
        *_written(run, quoting),
        *_judged(by, found.get("judged")),
        *_kept(run, found, by),
        *_guarded(run, found),
    ]


def _learned(run: Run, trained: str) -> Iterator[str]:
    train, asked = run.recipe.train, len(run.collection.positives("train"))
    whose = "generated" if "train" in run.collection.synthetic else "labelled"
    marks = ", marks of an audit among them" if read_json(run.path / RECIPE).get("labels") else ""
    marks += ", other wordings of queries among them" if run.recipe.generate.paraphrases else ""
    again = len(read_refreshes(run.path))
    mined = f", each with {train.negatives} mined hard negative(s)" if train.negatives else ""
    mined += f", mined anew {again} time(s) on the way" if again else ""
    how = f"loss: {train.loss}; weights that were trained: {trained}"
    pairs = len(run.collection.pairs("train"))
    yield f"Learned from {pairs:,} {whose} pairs of {asked:,} queries{marks}{mined}; {how}."
    if "train" in run.collection.synthetic and "test" not in run.collection.synthetic:
        both, answers = trained_positives(run.collection, "test"), run.collection.answering("test")
        yield (
            f"{len(both):,} of the {len(answers):,} passages that answer test queries are among those that training "
            "queries were written for; the test queries themselves were never seen."
        )
    if not (teachers := read_teachers(run.path)):
        return
    taught = [name for name in teachers["teachers"] if name not in teachers["left_out"]]
    beside = (
        "" if train.loss == "soft" else f" beside the hard ones, at weight {train.soft_weight:g}"
    )
    if taught:
        yield f"Soft labels ({run.recipe.teach.labels}) of {_listed(taught)}{beside}."
    else:
        yield "No teacher was better than chance: hard labels served in place of soft ones."


def _written(run: Run, quoting: bool) -> Iterator[str]:
    if count := count_written(run):
        rows = read_jsonl(run.path / "queries" / "queries.jsonl")[:SAMPLES] if quoting else []
        some = ", ".join(f"“{excerpt(row['text'], SAMPLE)}”" for row in rows)
        yield (
            f"Before that, from {count:,} queries that nobody asked, written ({run.recipe.generate.generator}) for "
            f"passages without one{f', such as {some}' if some else ''}; it went {PRETRAINING_INTERPOLATION_WEIGHT:.0%} of that way, so "
            "that what was asked has the last word."
        )


def _judged(by: str, queries: int | None) -> Iterator[str]:
    if queries and by == "dev":
        yield f"Judged by {queries:,} dev queries."
    elif queries:
        yield (
            f"{queries:,} training queries are too few to keep some for a dev split. Cross-validation judged instead: "
            "each query by a model that was trained without it. The last training took them all."
        )


def _kept(run: Run, found: Mapping[str, Any], by: str) -> Iterator[str]:
    line, budget = found.get("line", []), run.recipe.guard.budget
    before, after = points(found["dev_base"]), points(found["dev_best"])
    if line and not found["share"]:
        lost = f"lost more than {points(budget)} on the guard"
        yield f"The base model was kept: every point on the way to the trained weights {lost}."
        return
    if found["kept"] == "base":
        yield f"The base model was kept: by {by}, training came to {PRIMARY} {after}, and base has {before}."
        return
    yield from _passed_over(run, found, by)
    way = (
        f"{found['share']:.0%} of the way from base to the trained weights"
        if "share" in found
        else "trained weights"
    )
    yield f"Kept: {way}; by {by}, {PRIMARY} {before} → {after}."
    if found["dev_best"] < found["dev_base"]:
        yield (
            "Kept although that is less, for --force was given."
            if run.force
            else _NOT_SHOWN.format("worse than base")
        )
    highest = max(line, key=lambda point: point["dev"], default=None)
    if highest and float(points(highest["dev"])) > float(after):
        allowed = (
            found.get("guard_base") is None or highest["guard"] >= found["guard_base"] - budget
        )
        why = (
            _NOT_SHOWN.format("better")
            if allowed
            else f"But it lost more than {points(budget)} on the guard."
        )
        yield f"{highest['share']:.0%} of the way scored {points(highest['dev'])}. {why}"


def _passed_over(run: Run, found: Mapping[str, Any], by: str) -> Iterator[str]:
    """An earlier checkpoint that scored more than the last, which was taken (`whet.train.callbacks.TakeLast`)."""
    score = f"eval_{PRIMARY}"
    log = read_jsonl(run.path / "train" / "log.jsonl") if by == "dev" else []
    scores = {row["step"]: points(row[score]) for row in log if score in row}
    best, taken = (
        max(scores, key=lambda step: float(scores[step]), default=None),
        found.get("best_step"),
    )
    if best is not None and float(scores[best]) > float(scores[taken]):
        yield (
            f"The last weights were taken (step {taken}, {by} {PRIMARY} {scores[taken]}). Step {best} had "
            f"{scores[best]}, which {found['judged']:,} queries do not show to be better."
        )


_NOT_SHOWN = "So few queries do not show it to be {}."


def _guarded(run: Run, found: Mapping[str, Any]) -> Iterator[str]:
    if found.get("guard_base") is not None:
        of = run.recipe.guard.data
        named = f"{PYDOC}: documentation of Python's standard library" if of == PYDOC else of
        before, after = points(found["guard_base"]), points(found["guard_tuned"])
        yield f"On the guard, a general set ({named}): {PRIMARY} {before} → {after}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
