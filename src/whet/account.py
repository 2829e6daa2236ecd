"""What a run did, and why, in the sentences that its report and its model card share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whet.artifacts import read_json, read_jsonl
from whet.evaluate.measures import PRIMARY
from whet.evaluate.verdict import points
from whet.outcome import count_written, read_teachers
from whet.report.contents import excerpt
from whet.run import RECIPE, Run, training_pairs
from whet.train.config import FIRST_SHARE, PYDOC

SAMPLES, SAMPLE = 3, 80  # written queries that are shown, and characters of each


def account(run: Run) -> list[str]:
    """Plain sentences, one a step, on a run whose model has been trained."""
    found = read_json(run.path / "train" / "result.json")
    return [*_learned(run, str(found["trial"])), *_judged(found), *_kept(run, found), *_guarded(run, found)]


def _learned(run: Run, trained: str) -> Iterator[str]:
    train, asked = run.recipe.train, len(run.collection.positives("train"))
    whose = "generated" if "train" in run.collection.synthetic else "labelled"
    marks = ", marks of an audit among them" if read_json(run.path / RECIPE).get("labels") else ""
    mined = f", each with {train.negatives} mined hard negative(s)" if train.negatives else ""
    pairs = len(training_pairs(run.collection))
    how = f"loss: {train.loss}; weights that were trained: {trained}"
    yield f"Learned from {pairs:,} {whose} pairs of {asked:,} queries{marks}{mined}; {how}."
    if teachers := read_teachers(run.path):
        taught = [name for name in teachers["teachers"] if name not in teachers["left_out"]]
        beside = "" if train.loss == "soft" else f" beside the hard ones, at weight {train.soft_weight:g}"
        yield f"Soft labels ({run.recipe.teach.labels}) of {_listed(taught)}{beside}."
    if count := count_written(run):
        rows = read_jsonl(run.path / "queries" / "queries.jsonl")[:SAMPLES]
        some = ", ".join(f"“{excerpt(row['text'], SAMPLE)}”" for row in rows)
        yield (
            f"Before that, from {count:,} queries that nobody asked, written ({run.recipe.generate.generator}) for "
            f"passages without one: {some} … It went {FIRST_SHARE:.0%} of that way: what was asked has the last word."
        )


def _judged(found: Mapping[str, Any]) -> Iterator[str]:
    if found.get("judge") == "dev":
        yield f"Judged by {found['judged']:,} dev queries, none of which was trained on."
    elif "judge" in found:
        yield (
            f"{found['judged']:,} training queries are too few to keep some for a dev split. Cross-validation judged "
            "instead: each query by a model that was trained without it. The last training took them all."
        )


def _kept(run: Run, found: Mapping[str, Any]) -> Iterator[str]:
    by = found.get("judge", "dev")
    before, after = points(found["dev_base"]), points(found["dev_best"])
    if found["kept"] == "base":
        yield f"The base model was kept: by {by}, training came to {PRIMARY} {after}, and base has {before}."
        return
    way = f"{found['share']:.0%} of the way from base to the trained weights" if "share" in found else "trained weights"
    yield f"Kept: {way}; by {by}, {PRIMARY} {before} → {after}."
    highest = max(found.get("line", []), key=lambda point: point["dev"], default=None)
    if highest and points(highest["dev"]) != after:
        why = f"but lost more than {points(run.recipe.guard.budget)} on the guard"
        if found.get("guard_base") is None or highest["guard"] >= found["guard_base"] - run.recipe.guard.budget:
            why = "which so few queries do not show to be better"
        yield f"{highest['share']:.0%} of the way scored {points(highest['dev'])}, {why}."


def _guarded(run: Run, found: Mapping[str, Any]) -> Iterator[str]:
    if found.get("guard_base") is not None:
        name = f"{PYDOC}: documentation of Python's standard library" if run.recipe.guard.data == PYDOC else ""
        of = name or run.recipe.guard.data
        before, after = points(found["guard_base"]), points(found["guard_tuned"])
        yield f"On the guard ({of}), a general set that training never saw: {PRIMARY} {before} → {after}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
