import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from whet.evaluate.verdict import assess
from whet.export.card import ModelFacts, ModelOrigin, licence_of, render_card

FACTS = ModelFacts(dim=384, tokens=256, similarity="cosine")
SIZES = {"passages": 13960, "training queries": 2516}
HUB_BASE = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def evaluation():
    """Twenty queries that base ranks second and tuned first; BM25 finds nothing."""
    qrels = {f"q{i}": {"a": 1} for i in range(20)}
    base = {query: {"b": 0.9, "a": 0.8} for query in qrels}
    tuned = {query: {"a": 0.9, "b": 0.8} for query in qrels}
    return assess(qrels, base, tuned, {}, np.random.default_rng(0))


def test_the_table_says_what_the_evaluation_says(evaluation):
    card = render_card("m", ModelOrigin(HUB_BASE, "notes", SIZES, evaluation), FACTS)
    assert evaluation.summary_sentence in card
    assert "| RR@10 | 50.0 | 100.0 | +50.0 | p < 0.001 | 0.0 |" in card
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:7]}) == 1


def test_the_hub_reads_its_header(evaluation):
    origin = ModelOrigin(HUB_BASE, "notes", SIZES, evaluation, {"epochs": 1}, licence="apache-2.0")
    data = ModelCard(render_card("m", origin, FACTS)).data
    assert (data.base_model, data.license, data.library_name) == (
        HUB_BASE,
        "apache-2.0",
        "sentence-transformers",
    )
    assert data.pipeline_tag == "sentence-similarity"


def test_a_base_that_is_a_path_stays_out_of_the_header(evaluation):
    card = render_card("m", ModelOrigin("/home/me/model", "notes", SIZES, evaluation), FACTS)
    assert "base_model" not in yaml.safe_load(card.split("---\n")[1])
    assert "so its licence (see its model card)" in card


def test_its_tables_are_whole(evaluation):
    origin = ModelOrigin(HUB_BASE, "notes", SIZES, evaluation, {"epochs": 1, "rate": 3e-5})
    card = render_card("m", origin, FACTS, ["openvino"])
    assert (
        "| what | how many |\n|---|---|\n| passages | 13,960 |\n| training queries | 2,516 |\n\n"
        in card
    )
    assert "| setting | value |\n|---|---|\n| epochs | 1 |\n| rate | 3e-05 |\n\n" in card
    assert 'SentenceTransformer("m", backend="openvino")' in card
    assert "\n\n\n" not in card


def test_the_licence_is_read_from_a_card(evaluation, tmp_path):
    assert licence_of(tmp_path) is None
    (tmp_path / "README.md").write_text(
        render_card("m", ModelOrigin("b", "d", {}, evaluation, licence="mit"), FACTS)
    )
    assert licence_of(tmp_path) == "mit"
    for broken in (
        "---\nlicense: [mit\n---\n",
        "---\n- mit\n---\n",
        "no header",
        "---\nlicense: [mit, gpl]\n---\n",
    ):
        (tmp_path / "README.md").write_text(broken)
        assert licence_of(tmp_path) is None
