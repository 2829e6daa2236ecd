"""The whole road on a tiny model and a tiny collection, through the Python API."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import whet
from tiny import RECIPE, tiny_bert, tiny_collection
from whet.errors import ConfigError, DataError
from whet.evaluate.measures import PRIMARY
from whet.files import read_jsonl
from whet.models import DEFAULT_MODEL
from whet.pipeline import build
from whet.run.opening import open_run, reopen
from whet.run.origin import origin_of
from whet.run.results import STAGE_NAMES
from whet.stage_folder import LOCK, locked
from without_whet import WITHOUT_WHET

STAGES = STAGE_NAMES[2:]  # this recipe needs no synthetic queries and no paraphrases
FILES = {
    "check": ["manifest.json", "report.json", "split.json"],
    "mine": ["manifest.json", "negatives.jsonl", "summary.json"],
    "generate": ["manifest.json", "queries.jsonl", "summary.json"],
    "teach": ["manifest.json", "summary.json"],
    "train": ["dev", "log.jsonl", "manifest.json", "model", "result.json"],
    "evaluate": [
        *(
            "base.trec",
            "bm25.trec",
            "evaluation.json",
            "manifest.json",
            "per_query.jsonl",
            "result.json",
        ),
        *("slices.json", "space.json", "test.qrels", "tuned.trec"),
    ],
    "report": ["index.html", "manifest.json", "report.md"],
}


@pytest.fixture(scope="module")
def road(tiny_data, tiny_model, tmp_path_factory):
    """A finished run; tests that change it copy what they change."""
    return whet.tune(
        tiny_data, str(tiny_model), tmp_path_factory.mktemp("road") / "run", overrides=RECIPE
    )


def test_every_stage_leaves_its_files_and_nothing_else(road):
    assert sorted(p.name for p in road.path.iterdir()) == sorted(
        [*STAGES, ".lock", "recipe.json", "vectors"]
    )
    for stage, names in FILES.items():
        assert sorted(p.name for p in (road.path / stage).iterdir()) == names
    assert {"SHA256SUMS", "README.md", "model.safetensors", "modules.json"} <= {
        p.name for p in (road.path / "model").iterdir()
    }


def test_the_model_learnt_and_the_verdict_says_so(road):
    result = road.result
    assert result["verdict"] == "better"
    assert result["tuned"][PRIMARY] > result["base"][PRIMARY] + 0.05
    assert result["difference"] == pytest.approx(
        result["tuned"][PRIMARY] - result["base"][PRIMARY], abs=2e-5
    )  # of rounded numbers
    assert result["interval"][0] > 0


def test_the_dev_scores_decide_what_is_kept(road):
    trained = json.loads((road.path / "train" / "result.json").read_text())
    dev = {
        int(p.stem): json.loads(p.read_text())["means"][PRIMARY]
        for p in (road.path / "train" / "dev").iterdir()
    }
    assert trained["kept"] == "tuned"
    assert (trained["dev_base"], trained["dev_best"]) == (dev[0], dev[trained["best_step"]])
    assert trained["best_step"] in (max(dev), max(dev, key=dev.__getitem__))


def test_the_numbers_are_those_of_the_model_in_the_run(road):
    from whet.encoder import PackedEncoder
    from whet.evaluate.measures import means, per_query
    from whet.evaluate.retrieve import retrieve

    data = road.collection
    queries = {query: data.queries[query] for query in data.positives("test")}
    ranking = retrieve(PackedEncoder(road.model), queries, road.passages)
    found = means(per_query(data.qrels["test"], ranking))
    assert {name: round(value, 5) for name, value in found.items()} == road.result["tuned"]


def test_no_test_query_or_its_passage_was_trained_on(road):
    split = json.loads((road.path / "check" / "split.json").read_text())
    of = {name: road.collection.positives(name) for name in ("train", "dev", "test")}
    passages = {
        name: {p for found in queries.values() for p in found} for name, queries in of.items()
    }
    assert all(of.values())
    assert passages["train"].isdisjoint(passages["test"])
    assert split["qrels"] == road.collection.qrels


def written(run):
    """When each file of a run was last written."""
    return {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != LOCK}


def test_a_second_call_skips_everything(road, tiny_data, tiny_model, caplog):
    before = written(road)
    with caplog.at_level("INFO", "whet"):
        again = whet.tune(tiny_data, str(tiny_model), road.path, overrides=RECIPE)
    assert written(road) == before
    messages = [message for message in caplog.messages if message.endswith(": up to date")]
    assert messages == [f"{stage}: up to date" for stage in STAGES]
    assert again.result == road.result


def test_warnings_of_the_check_are_logged_each_time(tiny_model, tmp_path, caplog):
    data = tiny_collection(tmp_path / "data", size=60)
    for _ in range(2):
        caplog.clear()
        run = build(open_run(data, str(tiny_model), tmp_path / "run", overrides=RECIPE), "check")
        (warned,) = [
            line
            for line in json.loads((run.path / "check" / "report.json").read_text())["lines"]
            if "small-" in line
        ]
        assert warned in caplog.messages


def test_a_changed_setting_is_named_and_a_shorter_base_is_owned_up_to(
    road, tiny_data, tiny_model, tmp_path, caplog
):
    again = tmp_path / "run"
    shutil.copytree(road.path, again)
    shorter = RECIPE | {"max_length": 8}
    with caplog.at_level("INFO", "whet"):
        build(open_run(tiny_data, str(tiny_model), again, overrides=shorter), "check")
    assert "check: built again because model, max_length changed" in caplog.text
    assert "base and tuned both read 8 tokens of a text (max_length)" in caplog.text
    assert "the base model reads 64" in caplog.text


@pytest.mark.parametrize("recipe", [RECIPE, RECIPE | {"seed": 5}])
def test_two_builds_at_once_are_refused_and_the_second_writes_nothing(
    road, tiny_data, tiny_model, recipe
):
    before = written(road)
    with (
        locked(road.path),
        pytest.raises(
            ConfigError,
            match=rf"run: another process of whet \({os.getpid()}\) is building in this folder",
        ),
    ):
        whet.tune(tiny_data, str(tiny_model), road.path, overrides=recipe)
    assert written(road) == before


def test_a_finished_run_may_be_opened_while_its_lock_is_held(road):
    with locked(road.path):
        assert reopen(road.path).result["verdict"] == road.result["verdict"]


def test_a_run_killed_before_its_recipe_was_written_may_begin_again(
    tiny_data, tiny_model, tmp_path
):
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert open_run(tiny_data, str(tiny_model), tmp_path, overrides=RECIPE).path == tmp_path


def test_a_run_can_be_opened_again_from_its_folder(road):
    again = reopen(road.path)
    assert (again.collection, again.recipe, again.base) == (road.collection, road.recipe, road.base)


def test_the_card_carries_the_licence_of_a_base_that_lies_in_a_folder(road, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    licences = {}
    for base in (str(tmp_path), DEFAULT_MODEL, "a/b"):
        run = replace(road, settings=replace(road.settings, model=base))
        licences[base] = origin_of(run, ()).licence
    assert licences == {str(tmp_path): "mit", DEFAULT_MODEL: "apache-2.0", "a/b": None}


ELSEWHERE = f"""{WITHOUT_WHET}
from sentence_transformers import SentenceTransformer
import numpy as np
model = SentenceTransformer(sys.argv[1])
np.save(sys.argv[2], model.encode(open(sys.argv[3]).read().splitlines()))
assert not [name for name in sys.modules if name.split(".")[0] == "whet"]
"""


def test_the_model_loads_where_whet_is_not_and_gives_the_same_vectors(road, tmp_path):
    texts = [*road.passages.values(), *road.collection.queries.values()]
    (tmp_path / "texts").write_text("\n".join(texts))
    arguments = [str(road.path / "model"), str(tmp_path / "vectors.npy"), str(tmp_path / "texts")]
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *arguments],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    vectors = np.load(tmp_path / "vectors.npy")
    # Not bit for bit: the other process computes with one thread, this one with all.
    assert np.allclose(vectors, road.model.encode(texts), rtol=0, atol=1e-6)
    assert not np.allclose(vectors, road.base_model.encode(texts), atol=0.01)


def test_without_a_gain_on_dev_the_base_model_is_the_result(
    tiny_data, tiny_model, tmp_path, caplog
):
    too_little = RECIPE | {
        "train": RECIPE["train"] | {"learning_rate": 1e-7, "epochs": 1, "evaluations": 1}
    }

    def trained(force):
        run = whet.tune(
            tiny_data, str(tiny_model), tmp_path / "run", overrides=too_little, force=force
        )
        base, tuned = run.base_model.state_dict(), run.model.state_dict()
        kept = json.loads((run.path / "train" / "result.json").read_text())["kept"]
        return run.result, kept, all(value.equal(base[name]) for name, value in tuned.items())

    result, kept, same = trained(force=False)
    assert (kept, same) == ("base", True)
    assert "nothing got better by dev: the base model is kept" in caplog.text
    assert result["verdict"] == "not shown"
    assert result["tuned"] == result["base"]
    _, kept, same = trained(force=True)
    assert (kept, same) == ("tuned", False)


def rebuilt(run, until="evaluate"):
    """Stages that a change makes whet build again, told from their manifests."""
    before = {stage: manifest_time(run, stage) for stage in STAGES}
    build(run, until)
    return [stage for stage in STAGES if manifest_time(run, stage) != before[stage]]


def manifest_time(run, stage):
    path = run.path / stage / "manifest.json"
    return path.stat().st_mtime_ns if path.exists() else None


def test_a_change_builds_again_what_hangs_on_it_and_no_more(tiny_data, tiny_model, tmp_path):
    brief = {"train": RECIPE["train"] | {"epochs": 1}, "max_length": 32}

    def opened(**changes):
        return open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=brief | changes)

    assert rebuilt(opened()) == ["check", "mine", "generate", "teach", "train", "evaluate"]
    assert rebuilt(opened()) == []
    assert rebuilt(opened(train=brief["train"] | {"temperature": 0.04})) == ["train", "evaluate"]
    assert rebuilt(opened(mine={"pick": "sample"}), "generate") == ["mine", "generate"]
    assert rebuilt(opened(max_length=16), "check") == ["check"]


def test_another_model_or_other_data_builds_everything_again(road, tiny_data, tiny_model, tmp_path):
    run = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE)
    assert rebuilt(run, "mine") == ["check", "mine"]
    other = tiny_bert(tmp_path / "other", seed=1)
    assert rebuilt(open_run(tiny_data, str(other), run.path, overrides=RECIPE), "mine") == [
        "check",
        "mine",
    ]
    data = tiny_collection(tmp_path / "data", seed=1)
    assert rebuilt(open_run(data, str(other), run.path, overrides=RECIPE), "mine") == [
        "check",
        "mine",
    ]


def test_negatives_are_mined_for_every_training_query(road):
    rows = read_jsonl(road.path / "mine" / "negatives.jsonl")
    assert {row["query_id"] for row in rows} == set(road.collection.positives("train"))


def test_a_folder_that_is_no_run_is_left_alone(tiny_data, tiny_model, tmp_path):
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ConfigError, match="is not empty and not a run of whet; give another --out"):
        whet.tune(tiny_data, str(tiny_model), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_faulty_data_is_refused_before_anything_is_written(tiny_model, tmp_path):
    data = tiny_collection(tmp_path / "data")
    with (data / "corpus.jsonl").open("a") as file:
        file.write("{not json\n")
    with pytest.raises(DataError, match=r"corpus\.jsonl:201"):
        whet.tune(data, str(tiny_model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["no/such-folder", "data"])
def test_a_model_that_is_none_is_refused(tiny_data, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "data").mkdir()
    with pytest.raises(
        ConfigError,
        match=r"cannot be loaded: .*Give a folder or hub id of a sentence-transformers model",
    ):
        whet.tune(tiny_data, str(tmp_path / name), tmp_path / "run")


def test_an_unknown_stage_is_refused_by_name(road):
    with pytest.raises(
        ConfigError, match="no stage is called 'trian'; the stages are queries, paraphrases, check"
    ):
        build(road, "trian")


def test_the_library_prints_nothing(tiny_data, tiny_model, tmp_path, capfd):
    build(open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE), "mine")
    assert capfd.readouterr() == ("", "")


def test_a_notebook_shows_the_verdict_and_the_table(road, tiny_data, tiny_model, tmp_path):
    html = road._repr_html_()
    assert road.result["verdict"] in html.lower()
    assert html.count("<tr>") == 6
    unfinished = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=RECIPE)
    assert "no result yet" in unfinished._repr_html_()
