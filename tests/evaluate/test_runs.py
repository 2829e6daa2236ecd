import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.errors import ArtifactError
from whet.evaluate.measures import per_query
from whet.evaluate.runs import break_ties, read_trec, write_qrels, write_trec

finite = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 0.5, 1e-40])
ids = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(" \t\n\r%\x1c\x85"), min_size=1
)


@given(st.dictionaries(ids, finite, max_size=30))
@settings(max_examples=60)
def test_untied_scores_fall_strictly_in_float32_and_keep_the_order(scores):
    untied = break_ties(scores)
    assert list(untied) == sorted(scores, key=lambda passage: -scores[passage])
    assert (np.diff(np.array(list(untied.values()), dtype=np.float32)) < 0).all()
    for passage, score in scores.items():
        assert untied[passage] == pytest.approx(score, rel=1e-5, abs=1e-5)
    assert break_ties(untied) == untied


def test_untied_scores_change_only_where_they_are_tied():
    scores = {"a": np.float32(0.7).item(), "b": np.float32(0.6).item()}
    untied = {passage: np.float32(score) for passage, score in break_ties(scores).items()}
    assert untied == {passage: np.float32(score) for passage, score in scores.items()}


@given(st.dictionaries(ids, st.dictionaries(ids, finite, min_size=1, max_size=5), max_size=4))
@settings(max_examples=50)
def test_a_run_comes_back_as_it_was_written(tmp_path_factory, ranking):
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_trec(path, ranking, tag="base model")
    untied = {query: break_ties(scores) for query, scores in ranking.items()}
    read = read_trec(path)
    assert read == untied
    orders = [list(scores) for scores in read.values()]
    assert orders == [list(scores) for scores in untied.values()]


def test_trec_eval_reads_the_files_and_agrees_with_our_measures(tmp_path):
    rng = np.random.default_rng(7)
    passages = [f"p{number:02d}" for number in range(40)]
    ranking, qrels = {}, {}
    for n in range(30):
        scores = (rng.integers(0, 5, 40) / 4).tolist()
        ranking[f"q{n}"] = dict(zip(passages, scores, strict=True))
        judged = rng.permutation(passages)[:9]
        qrels[f"q{n}"] = {p: int(rng.integers(0, 3)) for p in judged} | {"p03": 1}
    write_trec(tmp_path / "run.trec", ranking, tag="x")
    write_qrels(tmp_path / "qrels.txt", qrels)
    with (tmp_path / "run.trec").open() as run, (tmp_path / "qrels.txt").open() as judged:
        evaluator = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(judged), {"ndcg_cut_10"})
        theirs = evaluator.evaluate(pytrec_eval.parse_run(run))
    values = {query: measures["ndcg_cut_10"] for query, measures in theirs.items()}
    assert values == per_query(qrels, ranking)["nDCG@10"]


def test_the_format_to_the_letter(tmp_path):
    write_trec(tmp_path / "run.trec", {"q 1": {"b": 0.25, "a%": 0.5}}, tag="whet")
    write_qrels(tmp_path / "qrels.txt", {"q 1": {"a%": 2, "b": 0}})
    run = "q%201 Q0 a%25 1 0.5 whet\nq%201 Q0 b 2 0.25 whet\n"
    assert (tmp_path / "run.trec").read_text() == run
    assert (tmp_path / "qrels.txt").read_text() == "q%201 0 a%25 2\nq%201 0 b 0\n"


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "run.trec").write_text("q Q0 a 1 0.5 whet\nq Q0 a 2\n")
    with pytest.raises(ArtifactError, match=r"run\.trec:2: 'q Q0 a 2'; expected `query Q0"):
        read_trec(tmp_path / "run.trec")
    with pytest.raises(ArtifactError, match="absent"):
        read_trec(tmp_path / "absent.trec")
