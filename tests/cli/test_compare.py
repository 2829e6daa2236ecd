"""`whet compare`: the page gets both models of a finished run."""

from whet.cli.compare import EXAMPLES, model_pair
from whet.cli.opening import open_finished
from whet.serve.ranks import rank_both


def test_both_models_search_the_passages_of_the_run(finished, tiny_model):
    run = open_finished(finished)
    pair = model_pair(run)
    assert pair.base.name == str(tiny_model)
    assert pair.tuned.name == str(finished / "model")
    assert pair.base.vectors.shape == pair.tuned.vectors.shape
    assert 0 < len(pair.examples) <= 2 * EXAMPLES
    both = rank_both(pair, pair.examples[0].text)
    assert both.split == "test"
    assert len(both.base) == len(both.tuned) > 0


def test_a_run_that_is_not_finished_is_refused(whet, tiny_data, tiny_model, tmp_path):
    run = tmp_path / "run"
    assert whet("check", tiny_data, "--model", tiny_model, "--out", run).returncode == 0
    ended = whet("compare", run)
    assert ended.returncode == 2
    assert f"Finish it: whet tune {run}" in ended.stderr
