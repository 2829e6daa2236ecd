"""The teach stage: several teachers score the training pairs, one after the other, and one label is made for each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from rich.markup import escape

from whet.artifacts import write_json
from whet.errors import ConfigError
from whet.evaluate.measures import PRIMARY, areas, means, per_query
from whet.evaluate.retrieve import retrieve
from whet.mine.known import known_positives
from whet.mine.mined import read_mined
from whet.progress import say
from whet.records import Collection, Ranking, Teacher
from whet.run.folder import Run
from whet.teach.calibrate import calibrated
from whet.teach.label_file import write_labels
from whet.teach.labels import label
from whet.teach.named import check_teacher_name, teacher_digest, teacher_of
from whet.teach.quality import Quality, agreement, weights_by_quality
from whet.teach.scores import Pairs, ask

FOR_THE_AUDIT = {"audit_depth", "suspect"}  # settings that no label depends on
DEV_DEPTH = 30  # passages a dev query that a teacher has to rank: of the base model's best, and of random ones

Ids = Sequence[tuple[str, str]]
"""(query id, passage id) of every pair."""


@dataclass(frozen=True, slots=True)
class TeacherScores:
    """One teacher's scores of the training pairs, calibrated, and its quality on dev."""

    scores: Float64[np.ndarray, " pair"]
    quality: Quality


def write_teaching(run: Run, folder: Path, *, mine: Path) -> None:
    """Score the training pairs with every teacher of the recipe and leave labels and a summary in `folder`.

    Scores are kept under RUN/scores, so nothing is scored twice, whatever changes. Teachers that tell positives from
    others no better than chance on dev are left out, said aloud.

    Where none is better, labels are the hard ones.

    Raises TeacherError when a teacher fails, ConfigError when a name means no teacher, or when training is to be on
    labels alone and no teacher is any good.
    """
    config, ids = run.recipe.teach, pairs_to_teach(run, mine)
    relevant = np.array(
        [run.collection.qrels["train"][query].get(passage, 0) > 0 for query, passage in ids]
    )
    heard: dict[str, TeacherScores] = {}
    for name in config.teachers:
        teacher = teacher_of(name, run.collection, run.base_encoder)
        heard[name] = _hear(run, teacher, ids)
        del teacher  # before the next one is loaded
    kept = {name: one for name, one in heard.items() if one.quality.better_than_chance}
    for name in heard.keys() - kept.keys():
        say(
            f"[yellow]teacher {escape(name)} is left out: its AUC is {heard[name].quality.auc:.2f}[/yellow]"
        )
    if not kept:
        found_none = f"no teacher of {', '.join(config.teachers)} tells positives from other passages better than chance"
        if run.recipe.train.loss == "soft":
            raise ConfigError(
                f"{found_none}: their labels teach nothing. Name others in teach.teachers, or set train.loss: clp."
            )
        say(f"[yellow]{escape(found_none)}: the labels are the hard ones[/yellow]")
    scores = np.array([one.scores for one in kept.values()]).reshape(len(kept), len(ids))
    for name, one in heard.items():
        found = one.quality
        say(f"teacher {escape(name)}: AUC {found.auc:.2f}, nDCG@10 {100 * found.ndcg:.1f}")
    weights = (
        weights_by_quality([one.quality for one in kept.values()])
        if config.weigh == "quality"
        else None
    )
    labels = label(
        config.labels if kept else "hard", scores, relevant, alpha=config.alpha, weights=weights
    )
    write_labels(folder, ids, relevant, labels, dict(zip(kept, scores, strict=True)))
    write_json(folder / "summary.json", _summary(heard, kept, labels, relevant))


def check_teachers(run: Run) -> None:
    """Raise ConfigError, before any work is done, for a name that can mean no teacher."""
    for name in run.recipe.teach.teachers:
        check_teacher_name(name)


def teach_settings(run: Run) -> dict[str, Any]:
    """The recipe of the teachers, and hashes of the files that they are read from: a changed one teaches anew."""
    config = run.recipe.teach
    files = {name: teacher_digest(name) for name in config.teachers}
    return {
        "teach": config.model_dump(exclude=FOR_THE_AUDIT),
        "files": files,
        "alone": run.recipe.train.loss == "soft",
    }


def pairs_to_teach(run: Run, mine: Path) -> Ids:
    """Every positive, every mined negative, and, where they are few enough, every training query with every passage.

    Passages are those of the training pairs. A pair that another split holds to be positive is left out, and so are
    queries that were written: what whet took from a passage needs no teacher.
    """
    known = known_positives(run.collection)
    train = run.collection.pairs("train")
    queries, passages = (list(dict.fromkeys(side)) for side in zip(*train, strict=True))
    asked = [
        one
        for one in read_mined(mine / "negatives.jsonl")
        if one.query_id in run.collection.queries
    ]
    mined = [(one.query_id, negative.passage_id) for one in asked for negative in one.negatives]
    few = len(queries) * len(passages) <= run.recipe.teach.cross_pairs
    crossed = [(query, passage) for query in queries for passage in passages] if few else []
    own = set(train)
    found = dict.fromkeys([*train, *mined, *crossed])
    return [pair for pair in found if pair in own or pair[1] not in known[pair[0]]]


def _hear(run: Run, teacher: Teacher, ids: Ids) -> TeacherScores:
    config, store = run.recipe.teach, run.path / "scores"
    pairs = _texts(run.collection, ids)
    background = None
    if config.calibration == "background":
        background = ask(teacher, random_pairs(run), store)
    scores = calibrated(ask(teacher, pairs, store), pairs.query, config.calibration, background)
    return TeacherScores(scores, _quality(run, teacher))


def _quality(run: Run, teacher: Teacher) -> Quality:
    """How the teacher ranks dev positives: among the base model's best passages (nDCG), and among random ones (AUC).

    The areas are over random passages because the base model's best are, by choice, those that it takes for answers.
    Without a dev split the training queries serve: no teacher has learned from them.
    """
    split = "dev" if run.collection.positives("dev") else "train"
    positives = run.collection.positives(split)
    queries = {query: run.collection.queries[query] for query in positives}
    rng = np.random.default_rng(run.recipe.teach.seed)
    ids = list(run.passages)
    drawn = {
        query: [ids[at] for at in rng.integers(0, len(ids), DEV_DEPTH).tolist()]
        for query in queries
    }
    near = retrieve(run.base_encoder, queries, run.passages, depth=DEV_DEPTH)
    among = {
        query: dict.fromkeys([*positives[query], *near[query], *drawn[query]]) for query in queries
    }
    pairs = [(query, passage) for query, passages in among.items() for passage in passages]
    said = dict(
        zip(
            pairs,
            ask(teacher, _texts(run.collection, pairs), run.path / "scores").tolist(),
            strict=True,
        )
    )
    known = known_positives(run.collection)
    own = [(query, passage) for query in queries for passage in positives[query]]
    random = [
        (query, p)
        for query, passages in drawn.items()
        for p in dict.fromkeys(passages)
        if p not in known[query]
    ]
    scores = np.array([said[pair] for pair in (*own, *random)])
    auc, auprc = areas(scores, np.arange(len(scores)) < len(own))
    ranking: Ranking = {
        query: {
            passage: said[query, passage]
            for passage in dict.fromkeys([*near[query], *positives[query]])
        }
        for query in queries
    }
    return Quality(
        auc, auprc, means(per_query(run.collection.qrels[split], ranking, [PRIMARY]))[PRIMARY]
    )


def _texts(collection: Collection, ids: Ids) -> Pairs:
    queries, passages = (
        {one: at for at, one in enumerate(dict.fromkeys(side))} for side in zip(*ids, strict=True)
    )
    return Pairs(
        [collection.queries[query] for query in queries],
        [collection.passages[passage].content for passage in passages],
        np.array([queries[query] for query, _ in ids], np.int64),
        np.array([passages[passage] for _, passage in ids], np.int64),
    )


def random_pairs(run: Run) -> Pairs:
    """Training queries with any passages: what a teacher says of texts that have nothing to do with each other."""
    config = run.recipe.teach
    rng = np.random.default_rng(config.seed)
    queries = [run.collection.queries[query] for query in run.collection.positives("train")]
    passages = list(run.passages.values())
    query, passage = (rng.integers(0, len(side), config.background) for side in (queries, passages))
    return Pairs(queries, passages, query, passage)


def _summary(
    heard: dict[str, TeacherScores],
    kept: dict[str, TeacherScores],
    labels: Float64[np.ndarray, " pair"],
    relevant: Bool[np.ndarray, " pair"],
) -> dict[str, Any]:
    """What to know of the teaching: who taught, how good they are, how far they agree, and the labels' means."""
    return {
        "pairs": len(labels),
        "positives": int(relevant.sum()),
        "mean_label_of_positives": round(float(labels[relevant].mean()), 4),
        "mean_label_of_others": round(float(labels[~relevant].mean()), 4)
        if (~relevant).any()
        else None,
        "teachers": {name: asdict(one.quality) for name, one in heard.items()},
        "left_out": [name for name in heard if name not in kept],
        "agreement": agreement({name: one.scores for name, one in heard.items()}).round(4).tolist(),
    }
