"""The false-negative audit: candidates that the teachers together take for answers, for a person to judge.

Passages that answer a dev or test query are not among them: accepted, they would be trained on.
"""

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.markup import escape

from whet.artifacts import (
    MANIFEST,
    Artifact,
    locked,
    read_json,
    read_jsonl,
    run_stage,
    write_json,
    write_jsonl,
    write_text,
)
from whet.data.audit_marks import Mark, held_out_texts, read_marks
from whet.data.faults import Faults
from whet.data.split import same_text
from whet.generate.paraphrases import is_paraphrase
from whet.mine.known import judged
from whet.models import load_model, stored_encoder
from whet.progress import say
from whet.records import Teacher
from whet.run.folder import Run
from whet.search.dense import top_k
from whet.stages.teach import check_teachers, random_pairs, teach_settings
from whet.teach.named import teacher_of
from whet.teach.scores import Pairs, ask
from whet.teach.suspects import features, relevance

TUNED = "tuned"  # the teacher that is the run's own model
TABLE = "suspects.csv"
BOM = "\ufeff"  # without it spreadsheets read UTF-8 as something else
EXCERPT = 400  # characters of a passage in the table and on the page


@dataclass(frozen=True, slots=True)
class Suspect:
    """A passage that probably answers a training query; `rank` is the base model's.

    `scores` are the teachers' of this pair, `answer` those of the query's known answer that they like least.
    """

    query_id: str
    passage_id: str
    probability: float
    rank: int
    query: str
    passage: str
    scores: Mapping[str, float]
    answer: Mapping[str, float]

    @property
    def reason(self) -> str:
        """Each teacher's score beside that of the known answer."""
        return f"base rank {self.rank}; " + "; ".join(
            f"{name} {score:.3g} (known answer {self.answer[name]:.3g})"
            for name, score in self.scores.items()
        )


def audit(run: Run) -> Artifact:
    """Bring RUN/audit up to date: suspects.jsonl, suspects.csv to be marked, index.html, summary.json.

    The model that the run has trained, if it has, is a teacher beside the recipe's: what all queries have taught it of
    answers is far more than what any teacher knows beforehand (benchmarks/results/planted_audit.json).
    """
    check_teachers(run)

    def write(folder: Path) -> None:
        found, looked_at = suspects(run)
        write_jsonl(folder / "suspects.jsonl", (asdict(one) for one in found))
        write_text(folder / TABLE, as_table(run, found, _earlier(run)))
        write_text(folder / "index.html", as_page(run, found))
        share = len(found) / looked_at if looked_at else 0.0
        write_json(
            folder / "summary.json",
            {"candidates": looked_at, "suspects": len(found), "share": round(share, 5)},
        )

    trained = _trained(run)
    if trained is None and (run.path / "train" / MANIFEST).exists():
        say(
            "[yellow]the base model was kept, so no tuned one is asked; `whet tune --force` makes one[/yellow]"
        )
    elif trained is None:
        say(
            "[yellow]no model has been trained in this run: after `whet tune` an audit knows much better[/yellow]"
        )
    config = teach_settings(run) | {"teach": run.recipe.teach.model_dump()}
    with locked(run.path):
        return run_stage(
            run.path, "audit", inputs=run.inputs | (trained or {}), config=config, build=write
        )


def read_suspects(folder: Path) -> list[Suspect]:
    """The suspects that an audit left in its folder, most certain first."""
    return [Suspect(**row) for row in read_jsonl(folder / "suspects.jsonl")]


def suspects(run: Run) -> tuple[list[Suspect], int]:
    """Every candidate over the threshold, most certain first, and how many candidates were looked at."""
    config = run.recipe.teach
    queries, passages = list(run.collection.positives("train")), list(run.passages)
    ranks = candidates(run)
    row = {passage: at for at, passage in enumerate(passages)}
    place = {query: at for at, query in enumerate(queries)}
    own = np.array(
        [(place[query], row[passage]) for query, passage in run.collection.pairs("train")]
    )
    asked = np.array([(query, passage) for query, passage, _ in ranks], np.int64).reshape(-1, 2)
    both = np.concatenate([own, asked])
    known = np.arange(len(both)) < len(own)
    if not len(asked):
        return [], 0
    texts = [run.collection.queries[query] for query in queries], list(run.passages.values())
    pairs, scores, background = Pairs(*texts, both[:, 0], both[:, 1]), [], []
    names = [*config.teachers, *([TUNED] if _trained(run) else [])]
    for name in names:
        teacher = _teacher(run, name)
        scores.append(ask(teacher, pairs, run.path / "scores"))
        background.append(ask(teacher, random_pairs(run), run.path / "scores"))
        del teacher  # before the next one is loaded
    table = np.stack(scores)
    probability = relevance(features(table, pairs.query, np.stack(background)), known)
    answer = _weakest(table[:, known], pairs.query[known], len(queries))
    found = [
        Suspect(
            queries[query],
            passages[passage],
            round(float(probability[at]), 4),
            rank,
            texts[0][query],
            texts[1][passage][:EXCERPT],
            {name: round(float(table[t, at]), 4) for t, name in enumerate(names)},
            {name: round(float(answer[t, query]), 4) for t, name in enumerate(names)},
        )
        for at, (query, passage, rank) in enumerate(ranks, len(own))
        if probability[at] >= config.suspect
    ]
    return sorted(found, key=lambda one: -one.probability), len(asked)


def _trained(run: Run) -> dict[str, str] | None:
    """The fingerprint of what the run has trained, if it has, and kept it."""
    manifest = run.path / "train" / MANIFEST
    if not manifest.exists() or read_json(run.path / "train" / "result.json")["kept"] != "tuned":
        return None
    return {TUNED: read_json(manifest)["fingerprint"]}


def _teacher(run: Run, name: str) -> Teacher:
    if name != TUNED:
        return teacher_of(name, run.collection, run.base_encoder)
    from whet.teach.models import VectorTeacher

    return VectorTeacher(
        stored_encoder(load_model(str(run.path / "train" / "model")), run.path),
        run.collection,
        TUNED,
    )


def candidates(run: Run) -> list[tuple[int, int, int]]:
    """Query row, passage row and rank of what the base model ranks high for each training query and nobody judged.

    Other wordings of a query have its answers: it alone is asked about.
    """
    queries = list(run.collection.positives("train"))
    texts = [run.collection.queries[query] for query in queries]
    vectors = (
        run.base_encoder.encode_queries(texts),
        run.base_encoder.encode_passages(list(run.passages.values())),
    )
    found = top_k(*vectors, run.recipe.teach.audit_depth).indices
    known = judged(run.collection)
    held_out = held_out_texts(run.collection)
    barred = np.array([same_text(text) in held_out for text in run.passages.values()])
    open_ = (
        ~known.known_positive(found) & ~np.isin(known.keys(found), known.refuted) & ~barred[found]
    )
    open_[[is_paraphrase(query, run.collection) for query in queries]] = False
    return [
        (q, int(found[q, rank]), rank + 1) for q, rank in np.argwhere(open_ & (found >= 0)).tolist()
    ]


def _weakest(
    scores: Float64[np.ndarray, "teacher pair"], query: Int64[np.ndarray, " pair"], queries: int
) -> Float64[np.ndarray, "teacher query"]:
    """Every teacher's lowest score of each query's known answers."""
    lowest = np.full((len(scores), queries), np.inf)
    for row, given in zip(lowest, scores, strict=True):
        np.minimum.at(row, query, given)
    return lowest


def _earlier(run: Run) -> list[Mark]:
    """What was marked in the table of an earlier audit; one that cannot be read is put aside, with a word."""
    path, faults = run.path / "audit" / TABLE, Faults()
    if not path.exists():
        return []
    marks = read_marks(path, faults)
    if any(fault.level == "error" and fault.kind != "empty-file" for fault in faults):
        aside = run.path / "suspects-earlier.csv"
        shutil.copy(path, aside)
        say(
            f"[yellow]{escape(f'{path} cannot be read; it is kept as {aside}: {faults[0]}')}[/yellow]"
        )
    return marks


def as_table(run: Run, found: Sequence[Suspect], marks: Sequence[Mark] = ()) -> str:
    """A spreadsheet's table, with a column `accept` to be filled with yes or no.

    `marks` of an earlier table stay: in their rows, and those of pairs that are no suspects any more at the end.
    """
    out, answers = StringIO(), first_answers(run)
    marked = {(mark.query, mark.passage): mark.row for mark in marks}
    rows: list[dict[str, Any]] = [
        {
            "accept": marked.pop((one.query_id, one.passage_id), {}).get("accept", ""),
            "probability": one.probability,
            "query": one.query,
            "passage": one.passage,
            "known answer": answers[one.query_id],
            "reason": one.reason,
            "query_id": one.query_id,
            "passage_id": one.passage_id,
        }
        for one in found
    ]
    columns = [
        "accept",
        "probability",
        "query",
        "passage",
        "known answer",
        "reason",
        "query_id",
        "passage_id",
    ]
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows([*rows, *marked.values()])
    return BOM + out.getvalue()


def as_page(run: Run, found: Sequence[Suspect]) -> str:
    """A page to mark them in, which hands the marks back as a file."""
    here = FileSystemLoader(Path(__file__).parents[1] / "report")
    page = Environment(
        loader=here,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = {"data": run.collection.name, "suspects": found, "answers": first_answers(run)}
    return page.get_template("audit.html.j2").render(values)


def first_answers(run: Run) -> dict[str, str]:
    """The first known answer of every training query, cut short."""
    return {
        query: run.passages[found[0]][:EXCERPT]
        for query, found in run.collection.positives("train").items()
    }
