"""Documents without a single question: what `whet tune` makes of the passages alone, judged by the real test questions.

    python benchmarks/unlabelled.py --sets integreat_en scifact nl2bash_a medquad_mini
    python benchmarks/unlabelled.py --share 1.0        # the whole way from base instead of half of it

Of each set only the passages and the test split are given; training and dev questions are the offline generator's.
Texts are cut at MAX_LENGTH tokens, by base and tuned alike. Sets that the results hold are left alone.
"""

import argparse
from pathlib import Path
from typing import Any

from ladder import DATA, MAX_LENGTH, RESULTS, machine

from whet.artifacts import read_json, write_json
from whet.data.read import read
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.records import Collection
from whet.run.opening import open_run

RESULT = RESULTS / "unlabelled.json"
SETS = ("integreat_en", "nl2bash_a", "medquad_mini", "scifact")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--generator", default="offline")
    parser.add_argument("--runs", type=Path, default=Path("runs/unlabelled"))
    wanted = parser.parse_args()
    for name in wanted.sets:
        found = read_json(RESULT)["rows"] if RESULT.exists() else {}
        key = f"{name} {wanted.generator} {wanted.share:g}"
        if key not in found:
            found[key] = row(name, wanted.generator, wanted.share, wanted.runs)
            write_json(RESULT, {"about": __doc__, "machine": machine(), "rows": found})
        print(
            key,
            {
                measure: found[key][measure]
                for measure in ("base", "tuned", "interval", "p_value", "kept")
            },
        )


def row(name: str, generator: str, share: float, runs: Path) -> dict[str, Any]:
    """Tune one set's passages and judge the result by its real test questions."""
    whole, _ = read(DATA / name)
    judged = whole.qrels["test"]
    asked = {query: whole.queries[query] for query in judged}
    bare = Collection(
        f"{name}-passages", whole.passages, asked, {"test": judged}, documents=whole.documents
    )
    recipe: dict[str, Any] = {"max_length": MAX_LENGTH, "generate": {"generator": generator}}
    recipe |= {"guard": {"shares": [share]}} if share != 0.5 else {}
    run = build(
        open_run(bare, DEFAULT_MODEL, runs / f"{name}-{share:g}", overrides=recipe, yes=True),
        "evaluate",
    )
    result, training = run.result, read_json(run.path / "train" / "result.json")
    return {
        **{key: result[key]["nDCG@10"] for key in ("bm25", "base", "tuned")},
        **{key: result[key] for key in ("interval", "p_value", "verdict")},
        **{
            key: training.get(key)
            for key in ("kept", "dev_base", "dev_best", "guard_base", "guard_tuned")
        },
        "written": read_json(run.path / "queries" / "summary.json"),
        "seconds": {
            **result["seconds"],
            "queries": read_json(run.path / "queries" / "manifest.json")["seconds"],
        },
    }


if __name__ == "__main__":
    main()
