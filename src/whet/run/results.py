"""What a finished run holds, read back for reports, model cards and the compare page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet.artifacts import MANIFEST, read_json, read_jsonl
from whet.models import DEFAULT_MODEL, packaged_model, stored_encoder
from whet.records import LayerUse
from whet.run.folder import Run

if TYPE_CHECKING:
    from whet.evaluate.slices import QueryRow, Slice
    from whet.evaluate.verdict import Evaluation
    from whet.export.card import Origin
    from whet.serve.ranks import ModelPair

EXAMPLES = 3  # queries of each kind that the compare page offers


def read_evaluation(path: Path) -> "tuple[Evaluation, list[QueryRow], list[Slice]]":
    """Evaluation, per-query rows and slices of a run, as `whet.stages.evaluate.write_evaluation` wrote them."""
    from whet.evaluate.slices import QueryRow, Slice
    from whet.evaluate.verdict import Evaluation

    folder = path / "evaluate"
    rows = [QueryRow(**row) for row in read_jsonl(folder / "per_query.jsonl")]
    slices = [Slice(**part) for part in read_json(folder / "slices.json")]
    return Evaluation.from_record(read_json(folder / "evaluation.json")), rows, slices


def read_experts(path: Path) -> list[LayerUse]:
    """How the tuned model's experts were used on test passages; empty where it has none."""
    written = path / "evaluate" / "experts.json"
    found = read_json(written) if written.exists() else []
    return [
        LayerUse(
            one["layer"],
            tuple(one["share"]),
            one["entropy"],
            tuple(tuple(kind) for kind in one["tokens"]),
        )
        for one in found
    ]


def read_teachers(path: Path) -> dict[str, Any]:
    """What the teach stage tells of its teachers; empty where nobody taught."""
    found: dict[str, Any] = read_json(path / "teach" / "summary.json")
    return found if found["pairs"] else {}


def read_refreshes(path: Path) -> list[dict[str, Any]]:
    """Summaries of the rounds in which the kept training's negatives were mined anew, in order."""
    train = path / "train"
    trial = read_json(train / "result.json")["trial"]
    found = [
        read_json(log)
        for part in (trial, "")
        for log in (train / "refresh" / part).glob("round-*/summary.json")
    ]
    return sorted(found, key=lambda log: int(log["round"]))


def read_tradeoff(path: Path) -> list[dict[str, float | None]]:
    """Points from base (share 0) to the tuned weights (1) with their scores on `dev` and, if any, on the `guard`.

    Where the line between was not walked, base and, if it was kept, the tuned model alone.
    """
    found = read_json(path / "train" / "result.json")
    base = {"share": 0.0, "dev": found["dev_base"], "guard": found.get("guard_base")}
    tuned = {"share": 1.0, "dev": found["dev_best"], "guard": found.get("guard_tuned")}
    return [base, *found.get("line", [tuned] if found["kept"] == "tuned" else [])]


def read_judge(run: Run) -> str:
    """What decided before the test: dev, or cross-validation."""
    found = read_json(run.path / "train" / "result.json")  # of an earlier version, it does not say
    return str(found.get("judge", "dev" if run.collection.positives("dev") else "cross-validation"))


def is_consistent(run: Run) -> bool:
    """Whether a finished run's model and report come from the stages that lie there, by the recipe that lies there."""
    model = read_json(run.path / "model" / MANIFEST)["inputs"]
    report = run.path / "report" / MANIFEST
    made = read_json(report) if report.exists() else {"inputs": {}, "config": {}}
    taken = [*model.items(), *made["inputs"].items()]
    now = {stage: read_json(run.path / stage / MANIFEST)["fingerprint"] for stage, _ in taken}
    by = {"recipe": run.recipe.in_force(), "model": run.base}
    return all(now[stage] == then for stage, then in taken) and by == by | {
        name: value for name, value in made["config"].items() if name in by
    }


def read_share(path: Path) -> float | None:
    """The share of the way from base to the tuned weights that was kept; None where there was no way between."""
    found = read_json(path / "train" / "result.json")
    return found.get("share") if found["kept"] == "tuned" or "share" not in found else 0.0


def read_spaces(path: Path) -> dict[str, dict[str, float]]:
    """The embedding spaces of base and tuned; empty where they were not measured."""
    written = path / "evaluate" / "space.json"
    found: dict[str, dict[str, float]] = read_json(written) if written.exists() else {}
    return found


def training_curve(folder: Path) -> list[dict[str, float | None]]:
    """Logged steps of a train stage, with the dev score where it was taken; step 0 is the base model."""
    from whet.evaluate.measures import PRIMARY
    from whet.report.contents import LOSS_PARTS

    rows: list[dict[str, float | None]] = [
        {"step": 0, "dev": read_json(folder / "result.json")["dev_base"]}
    ]
    for entry in read_jsonl(folder / "log.jsonl"):
        named: dict[str, float | None] = {
            key: value
            for key, value in entry.items()
            if key in ("step", *LOSS_PARTS) or key.startswith("share/")
        }
        if f"eval_{PRIMARY}" in entry:
            named["dev"] = entry[f"eval_{PRIMARY}"]
        rows.append(named)
    return rows


def count_written(run: Run) -> int:
    """How many queries training learned from that were written beside those asked."""
    summary = run.path / "queries" / "summary.json"
    return int(read_json(summary)["queries"]) if run.writes and summary.exists() else 0


def origin_of(run: Run, account: Sequence[str]) -> "Origin":
    """What a model card tells of an evaluated run; `account` are sentences on what was done (`whet.run.account`)."""
    from whet.export.card import Origin

    sizes = {
        f"{split} queries": len(run.collection.positives(split)) for split in run.collection.qrels
    }
    sizes |= {"written training queries": count} if (count := count_written(run)) else {}
    settings = run.recipe.in_force()
    experts = {f"moe.{name}": value for name, value in settings["moe"].items()}
    return Origin(
        base=run.base,
        data=run.collection.name,
        sizes={"passages": len(run.passages)} | sizes,
        settings=settings["train"] | (experts if run.recipe.moe.experts else {}),
        evaluation=read_evaluation(run.path)[0],
        licence=_licence(run.base),
        account=account,
    )


def _licence(base: str) -> str | None:
    """The licence of a base model that lies in a folder; None where it does not, or names none."""
    from whet.export.card import licence_of

    folder = packaged_model() if base == DEFAULT_MODEL else Path(base)
    return licence_of(folder) if folder else None


def pairing_of(run: Run) -> "ModelPair":
    """Both models of a finished run side by side, with the queries whose ranking changed most as examples."""
    from whet.evaluate.slices import most_changed
    from whet.serve.ranks import ModelPair, SearchedModel

    _, rows, _ = read_evaluation(run.path)
    wins, losses = most_changed(rows, EXAMPLES)
    tuned = stored_encoder(run.model, run.path)
    texts = list(run.passages.values())
    return ModelPair(
        collection=run.collection,
        base=SearchedModel(
            run.base, run.base_encoder.encoder, run.base_encoder.encode_passages(texts)
        ),
        tuned=SearchedModel(str(run.path / "model"), tuned.encoder, tuned.encode_passages(texts)),
        examples=(*wins, *losses),
    )
