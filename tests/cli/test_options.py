"""`--help`: each verb offers the options that it reads, in groups, and tells the true defaults."""

import re

import pytest
from typer.testing import CliRunner

from recipes import collection_of
from whet.cli.main import app
from whet.run.recipe import KEYS, derive

ALWAYS = {"--help", "--labels", "--test-queries", "--model", "--max-length", "--out", "--recipe"}
ALWAYS |= {"--set", "--seed", "--json", "--quiet"}
SYNTHETIC = {"--generator", "--yes"}
LOSS = {"--loss", "--penalty-weight"}
TRAINING = {"--effort", "--epochs", "--learning-rate", "--batch-size", "--temperature"}
TRAINING |= {"--train-only", "--moe", "--guard", "--prefix-cache", "--force"}
REFRESH = {"--refresh", "--refresh-async", "--refresh-generate"}
ALL = ALWAYS | SYNTHETIC | LOSS | TRAINING | REFRESH | {"--negatives"}
OPTIONS = {
    "check": ALWAYS | SYNTHETIC,
    "generate queries": ALWAYS | SYNTHETIC,
    "generate paraphrases": ALWAYS | SYNTHETIC,
    "mine": ALWAYS | SYNTHETIC | {"--negatives"},
    "generate reverse": ALWAYS | SYNTHETIC | LOSS | {"--negatives"},
    "teach": ALWAYS | SYNTHETIC | LOSS | {"--negatives"},
    "train": ALL,
    "evaluate": ALL,
    "tune": ALL,
    "audit": ALWAYS | SYNTHETIC,
    "report": {"--help", "--quiet"},
    "export": {"--help", "--quiet", "--format", "--onnx", "--merge", "--merge-by"},
    "compare": {"--help", "--quiet", "--port"},
    "recipe": {"--help"},
    "clean": {"--help"},
    "demo": {"--help", "--out", "--json", "--quiet"},
}
GROUPS = {
    "Data": {"--labels", "--test-queries"},
    "Model and training": {"--model", "--max-length"} | LOSS | TRAINING,
    "Hard negatives": REFRESH | {"--negatives"},
    "Synthetic queries and teachers": SYNTHETIC,
    "Run": {"--out", "--recipe", "--set", "--seed"},
    "Output": {"--json", "--quiet"},
}


def help_of(verb):
    ended = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "120"})
    assert ended.exit_code == 0
    return ended.stdout


def offered(text):
    return set(re.findall(r"^│ (--[a-z-]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_offers_the_options_that_it_reads(verb):
    assert offered(help_of(verb)) == OPTIONS[verb]


def test_options_stand_in_groups():
    headings = re.split(r"^╭─ (.*?) ─+╮$", help_of("tune"), flags=re.MULTILINE)
    groups = dict(zip(headings[1::2], headings[2::2], strict=True))
    assert list(groups) == ["Arguments", "Options", *GROUPS]
    for name, options in GROUPS.items():
        assert offered(groups[name]) == options


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--temperature", "train.temperature"),
        ("--penalty-weight", "train.penalty_weight"),
        ("--loss", "train.loss"),
        ("--negatives", "train.negatives"),
        ("--train-only", "train.train_only"),
        ("--guard", "guard.data"),
        ("--prefix-cache", "train.prefix_cache"),
        ("--generator", "generate.generator"),
        ("--seed", "seed"),
        ("--effort", "effort"),
    ],
)
def test_the_help_tells_the_true_default(option, key):
    row = re.search(rf"^│ {option} .*?(?=^│ --|^╰)", help_of("tune"), re.MULTILINE | re.DOTALL)
    words = " ".join(row.group().replace("│", " ").split())
    default = re.search(r"Default: (\S+?)\.?( |$)", words).group(1)
    assert default == str(KEYS[key].default)


def test_the_learning_rates_in_the_help_are_those_of_the_recipe():
    for train_only, rate in (("intermediate", 2e-4), ("all", 1e-4)):
        recipe = derive(collection_of(900), "quick", {"train": {"train_only": train_only}})
        assert recipe.train.peak_learning_rate == rate
    assert "Default: 2e-4, or 1e-4 with --train-only all" in " ".join(
        help_of("tune").replace("│", " ").split()
    )
