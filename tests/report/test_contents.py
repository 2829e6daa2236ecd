from whet.report.contents import TrainingPoint


def test_a_row_of_the_log_becomes_a_point():
    row = {
        "step": 20,
        "epoch": 1.0,
        "loss": 0.5,
        "penalty": 0.1,
        "learning_rate": 0.02,
        "share/layer.0.output/1": 0.25,
        "eval_nDCG@10": 0.6,
        "eval_guard_nDCG@10": 0.7,
    }
    assert TrainingPoint.from_json(row) == TrainingPoint(
        step=20,
        losses={"loss": 0.5, "penalty": 0.1},
        expert_shares={"layer.0.output/1": 0.25},
        dev=0.6,
    )
    assert TrainingPoint.from_json({"step": 5}) == TrainingPoint(5)
