"""Documents without questions: `whet tune` on passages alone, judged by real test queries.

    python benchmarks/unlabelled.py --sets integreat_en scifact nl2bash_a medquad_mini
    python benchmarks/unlabelled.py --share 1.0

`--share` is the interpolation weight; 1.0 takes the trained weights. Each set gives its passages
and its test split only. The offline generator makes the training and dev queries. Texts are cut at
MAX_LENGTH tokens, by base and tuned alike. A set that the results hold is not run again.
"""

import argparse
from pathlib import Path
from typing import Any

from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.data.read import read
from whet.evaluate.measures import PRIMARY
from whet.files import read_json, write_json
from whet.generate.spending import agree
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.records import Collection
from whet.run.opening import open_run
from whet.run.results import read_evaluation, read_training_result, stage_seconds

RESULT = RESULTS / "unlabelled.json"
DEFAULT_SHARE = 0.5  # whet's own where all training queries are synthetic
PRINTED = ("base", "tuned", "interval", "p_value", "kept")
SETS = ("integreat_en", "nl2bash_a", "medquad_mini", "scifact")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--share", type=float, default=DEFAULT_SHARE)
    parser.add_argument("--generator", default="offline")
    parser.add_argument("--runs", type=Path, default=Path("runs/unlabelled"))
    options = parser.parse_args()
    for name in options.sets:
        rows = read_json(RESULT)["rows"] if RESULT.exists() else {}
        key = f"{name} {options.generator} {options.share:g}"
        if key not in rows:
            rows[key] = measure(name, options.generator, options.share, options.runs)
            write_json(RESULT, {"about": __doc__, "machine": machine(), "rows": rows})
        print(key, {figure: rows[key][figure] for figure in PRINTED})


def measure(name: str, generator: str, share: float, runs: Path) -> dict[str, Any]:
    """Tune one set's passages and judge the result by its real test questions."""
    whole, _ = read(DATA / name)
    judged = whole.qrels["test"]
    unlabelled = Collection(
        name=f"{name}-passages",
        passages=whole.passages,
        queries={query: whole.queries[query] for query in judged},
        qrels={"test": judged},
        documents=whole.documents,
    )
    recipe: dict[str, Any] = {"max_length": MAX_LENGTH, "generate": {"generator": generator}}
    if share != DEFAULT_SHARE:
        recipe["guard"] = {"shares": [share]}
    folder = runs / f"{name}-{share:g}"
    run = open_run(unlabelled, DEFAULT_MODEL, folder, overrides=recipe, confirm=agree)
    build(run, "evaluate")
    evaluation, _, _ = read_evaluation(run.path)
    figures = evaluation.to_result()
    training = read_training_result(run.path)
    return {
        "bm25": figures["bm25"][PRIMARY],
        "base": figures["base"][PRIMARY],
        "tuned": figures["tuned"][PRIMARY],
        "interval": figures["interval"],
        "p_value": figures["p_value"],
        "verdict": figures["verdict"],
        "kept": training.kept,
        "dev_base": training.dev_base,
        "dev_best": training.dev_best,
        "guard_base": training.guard_base,
        "guard_tuned": training.guard_tuned,
        "written": read_json(run.path / "queries" / "summary.json"),
        "seconds": stage_seconds(run.path),
    }


if __name__ == "__main__":
    main()
