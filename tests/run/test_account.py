"""The sentences on a run: what it was trained on, what decided, which model was kept and why."""

from dataclasses import replace

import pytest

from tiny import RECIPE, tiny_collection
from whet.data.read import read
from whet.files import write_json, write_jsonl
from whet.records import InterpolationPoint, SyntheticQuery
from whet.run.account import account
from whet.run.opening import open_run
from whet.run.training_result import CandidateScore, TrainingResult
from whet.teach.quality import Quality
from whet.teach.summary import TeachSummary
from whet.train.refresh.round_log import RoundLog

OVERRIDES = RECIPE | {"guard": {"data": "pydoc", "interpolate": True}}
NO_MODEL = "no/model"  # an account does not need one

RESULT = TrainingResult(
    kept="tuned",
    judge="dev",
    judged=None,
    dev_base=0.5,
    dev_best=0.6,
    trial="all",
    trials={"all": CandidateScore(0.6, 10, 30)},
    trained_parameters=10,
    total_parameters=10,
    best_step=30,
    stopped_early=False,
)
TEACHERS = TeachSummary(
    pairs=9,
    teachers={name: Quality(0.9, 0.5, 0.6) for name in ("base", "bm25", "late")},
    left_out=("bm25",),
    agreement=((1.0, 1.0, 1.0),) * 3,
)
ROUND = RoundLog(
    round=1,
    mined_at=10,
    epoch=1.0,
    cost="full",
    queries=20,
    dev=0.5,
    threads=1,
    encoded=90,
    recall=1.0,
    candidates=100,
    taken={"ance": 20},
    left_over=80,
    dropped={},
    short=0,
    mean_negative_score=0.5,
    mean_positive_score=0.9,
    positives=20,
    positives_found=20,
    mean_positive_rank=1.5,
    seconds=1.0,
    used_from=10,
    new_queries=0,
    overlap=0.4,
)

FOLDS = {"judge": "cross-validation", "judged": 60}
DEV = {"judge": "dev", "judged": 20}
GUARDED = {"guard_base": 0.6, "guard_tuned": 0.62}


def line(*points):
    return tuple(InterpolationPoint(share, dev, guard) for share, dev, guard in points)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_collection(tmp_path_factory.mktemp("account") / "small", size=90)


@pytest.fixture
def run(data, tmp_path):
    return open_run(data, NO_MODEL, tmp_path / "run", overrides=OVERRIDES)


def sentences(run, teaching=None, dev=(), quoting=True, **changes):
    """The account of a run whose training came to RESULT with `changes`; `dev` are step, score."""
    teaching = teaching or TeachSummary()
    log = [{"step": 10, "loss": 0.5}]
    log += [{"step": step, "eval_nDCG@10": score} for step, score in dev]
    for stage in ("train", "teach"):
        (run.path / stage).mkdir(parents=True, exist_ok=True)
    write_json(run.path / "train" / "result.json", replace(RESULT, **changes).to_json())
    write_jsonl(run.path / "train" / "log.jsonl", log)
    write_json(run.path / "teach" / "summary.json", teaching.to_json())
    return account(run, quoting=quoting)


# ---- what it was trained on


def test_the_training_data(run):
    pairs = len(run.collection.positives("train"))
    assert sentences(run)[0] == (
        f"Trained on {pairs} pairs of {pairs} real queries. Hard negatives per query: 2. "
        "Loss: clp. Trained weights: all."
    )


def test_rounds_of_re_mining_are_counted(run):
    for number in (1, 2):
        folder = run.path / "train" / "refresh" / f"round-{number}"
        folder.mkdir(parents=True)
        write_json(folder / "summary.json", replace(ROUND, round=number).to_json())
    first, *_ = sentences(run)
    assert "Hard negatives per query: 2. Rounds of re-mining: 2. Loss" in first


def test_marks_of_an_audit_are_named(run, tmp_path):
    marks = tmp_path / "marks.csv"
    query, passage = run.collection.pairs("train")[0]
    marks.write_text(f"query_id,passage_id,accept\n{query},{passage},yes\n")
    marked = replace(run, settings=replace(run.settings, labels=str(marks)))
    assert "Among them are marks of an audit." in sentences(marked)[0]


def test_soft_labels_name_their_teachers(data, tmp_path):
    run = open_run(data, NO_MODEL, tmp_path / "run")
    assert sentences(run, TEACHERS)[1] == (
        "Soft labels (soft-2) come from base and late. Their weight beside hard labels is 0.5."
    )
    nobody = replace(TEACHERS, left_out=tuple(TEACHERS.teachers))
    assert sentences(run, nobody)[1].startswith("No teacher was better than chance.")


def test_test_passages_that_synthetic_queries_are_about_are_counted(run):
    """A reader of the verdict must know of them."""
    assert "that answer test queries" not in " ".join(sentences(run))

    collection = run.collection
    query, judged = next(iter(collection.qrels["train"].items()))
    qrels = dict(collection.qrels)
    qrels["test"] = qrels["test"] | {query: judged}
    source = replace(collection, synthetic=frozenset({"train"}), qrels=qrels)
    positives = len(source.answering("test"))
    first, second, *_ = sentences(replace(run, source=source))
    assert "synthetic queries. Hard" in first
    assert second.startswith(
        f"Synthetic training queries were generated for 1 of the {positives} passages"
    )

    all_synthetic = replace(source, synthetic=frozenset({"train", "test"}))
    text = " ".join(sentences(replace(run, source=all_synthetic)))
    assert "that answer test queries" not in text


def test_added_synthetic_queries_are_counted_and_quoted(tmp_path):
    data, _ = read(tiny_collection(tmp_path / "small", size=160, unasked=40))
    overrides = OVERRIDES | {"generate": {"passages": 30}}
    run = open_run(data, NO_MODEL, tmp_path / "run", overrides=overrides)
    assert run.adds_queries
    rows = [SyntheticQuery(f"s{n}", f"text {n}", f"p{n}").to_json() for n in range(5)]
    (run.path / "queries").mkdir(parents=True)
    write_jsonl(run.path / "queries" / "queries.jsonl", rows)
    write_json(run.path / "queries" / "summary.json", {"queries": 5})

    quoted = sentences(run)[1]
    assert "5 synthetic queries" in quoted
    assert "(generator: offline), such as “text 0”, “text 1”, “text 2”. Training on" in quoted
    assert quoted.endswith("started from interpolation weight 0.50.")
    assert "text 0" not in " ".join(sentences(run, quoting=False))


# ---- what decided, and what was kept


def test_what_decided(run):
    assert "20 dev queries decided which model was kept." in sentences(run, **DEV)
    by_folds = " ".join(sentences(run, **FOLDS))
    assert "60 training queries are too few" in by_folds
    assert "cross-validation decided" in by_folds


def test_an_earlier_checkpoint_that_scored_higher_is_named(run):
    scores = ((10, 0.5), (20, 0.6), (30, 0.59))
    assert (
        "The last weights were taken (step 30, nDCG@10 59.0 on dev). Step 20 had 60.0, but 20 "
        "queries do not show it to be better."
    ) in sentences(run, dev=scores, **DEV)


@pytest.mark.parametrize(
    ("scores", "changes"),
    [
        (((10, 0.5), (20, 0.6), (30, 0.59)), DEV | {"best_step": 20}),
        (((10, 0.5), (20, 0.6), (30, 0.59)), FOLDS),
        (((10, 0.5), (20, 0.6), (30, 0.59)), DEV | {"kept": "base"}),
        (((10, 0.5), (20, 0.5903), (30, 0.59)), DEV),
    ],
    ids=["the best was taken", "folds judged", "base was kept", "shown alike"],
)
def test_no_earlier_checkpoint_is_named(run, scores, changes):
    text = " ".join(sentences(run, dev=scores, **changes))
    assert "The last weights were taken" not in text


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        (FOLDS, "The trained model was kept. nDCG@10 by cross-validation: 50.0 → 60.0."),
        (
            FOLDS | {"share": 1.0, "line": line((0.5, 0.7, None), (1.0, 0.6, None))},
            "Interpolation weight 0.50 scored 70.0, but so few queries do not show it to be "
            "better.",
        ),
        (
            FOLDS | {"share": 1.0, "dev_best": 0.4, "line": line((1.0, 0.4, None))},
            "That is less than base, but so few queries do not show it to be worse.",
        ),
        (
            DEV | GUARDED | {"share": 0.5, "line": line((0.5, 0.6, 0.62), (1.0, 0.7, 0.58))},
            "Interpolation weight 1.00 scored 70.0, but its forgetting check fell by more than "
            "1.0.",
        ),
        (
            DEV
            | GUARDED
            | {"share": 0.0, "kept": "base", "dev_best": 0.5, "line": line((0.5, 0.7, 0.5))},
            "The base model was kept. At every interpolation weight, the forgetting check fell by "
            "more than 1.0.",
        ),
        (
            FOLDS | {"share": 1.0, "line": line((0.5, 0.55, None), (1.0, 0.6, None))},
            "The trained model was kept, at interpolation weight 1.00. nDCG@10 by "
            "cross-validation: 50.0 → 60.0.",
        ),
        (
            FOLDS | {"kept": "base", "dev_best": 0.4},
            "The base model was kept. nDCG@10 by cross-validation: base 50.0, trained 40.0.",
        ),
    ],
    ids=[
        "not interpolated",
        "higher, not shown",
        "worse, not shown",
        "over the budget",
        "every weight over the budget",
        "the best weight",
        "base",
    ],
)
def test_what_was_kept_and_why(run, changes, last):
    without_check = [
        sentence
        for sentence in sentences(run, **changes)
        if not sentence.startswith("Forgetting check")
    ]
    assert without_check[-1] == last


def test_force_is_named(run):
    forced = replace(run, settings=replace(run.settings, force=True))
    changes = DEV | {"share": 1.0, "dev_best": 0.4, "line": line((1.0, 0.4, None))}
    assert sentences(forced, **changes)[-1] == (
        "That is less than base. The model was kept because --force was given."
    )


def test_the_forgetting_check_is_named_with_its_scores(run):
    assert sentences(run, **GUARDED)[-1] == (
        "Forgetting check on pydoc (documentation of Python's standard library): "
        "nDCG@10 60.0 → 62.0."
    )
