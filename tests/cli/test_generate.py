"""The verbs that write queries, typed as users do, on documents of five formats that are real and made here.

Proved: one command goes from a folder of mixed files to a tuned model, without a question and without a network, and
says that its test queries are synthetic; real ones are taken where there are some; each verb says what it wrote; and
prompts can be had as files.
"""

import importlib
import json
import pydoc
from importlib.metadata import distribution
from pathlib import Path
from pydoc_data.topics import topics

import docx
import fpdf
import pytest
from typer.testing import CliRunner

from generate.chat_server import Chat, serving
from tiny import RECIPE
from whet.artifacts import read_json, read_jsonl
from whet.cli.main import app
from whet.errors import WhetError
from whet.generate.prompts import BUILT_IN_PROMPTS
from whet.run.opening import open_run

MODULES = ("textwrap", "shutil")
PACKAGES = ("rich", "jinja2")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A folder of this Python's own documentation and package metadata, in five formats."""
    folder = tmp_path_factory.mktemp("papers") / "papers"
    folder.mkdir()
    for name in PACKAGES:
        (folder / f"{name}.md").write_text(
            distribution(name).metadata.get_payload() or "", encoding="utf-8"
        )
    for name in MODULES:
        page = pydoc.HTMLDoc().page(name, pydoc.HTMLDoc().document(importlib.import_module(name)))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    keys = sorted(topics)
    for key in keys[:6]:
        (folder / f"{key}.txt").write_text(topics[key], encoding="utf-8")
    word, pdf = docx.Document(), fpdf.FPDF()
    pdf.set_font("helvetica", size=10)
    for key in keys[6:10]:
        word.add_heading(key, 1)
        word.add_paragraph(topics[key])
        pdf.add_page()
        pdf.multi_cell(
            0, 5, topics[keys[keys.index(key) + 10]].encode("latin-1", "replace").decode("latin-1")
        )
    word.save(str(folder / "topics.docx"))
    pdf.output(str(folder / "more.pdf"))
    return folder


@pytest.fixture
def typed(documents, tiny_model, tmp_path, monkeypatch):
    """Return a function that types a verb for the documents, with a recipe that takes seconds."""
    monkeypatch.chdir(tmp_path)
    recipe = RECIPE | {
        "train": RECIPE["train"] | {"epochs": 1},
        "generate": {"passages": 80, "round_trip": 10},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))

    def run(*verb, more=(), said=""):
        ended = CliRunner().invoke(
            app,
            [*verb, str(documents), "--model", str(tiny_model), "--recipe", "recipe.yaml", *more],
        )
        assert ended.exit_code == 0, ended.output + str(ended.exception)
        assert said in ended.output
        return ended.stdout

    return run


def test_from_a_folder_of_mixed_files_to_a_tuned_model(typed, tmp_path):
    shown = typed("tune", more=["--force", "--json"])
    found = json.loads(shown.splitlines()[-1])
    assert found["synthetic"] is True
    folder = tmp_path / "runs" / "papers"
    formats = {
        row["passage_id"].split("#")[0].rsplit(".", 1)[1]
        for row in read_jsonl(folder / "queries" / "queries.jsonl")
    }
    assert formats == {"md", "html", "txt", "docx", "pdf"}
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "all synthetic: real queries may give another result" in page
    split = read_json(folder / "check" / "split.json")["qrels"]
    homes = [
        {p.split("#")[0] for judged in split[name].values() for p in judged}
        for name in ("train", "test")
    ]
    assert homes[0].isdisjoint(homes[1])
    assert (folder / "model" / "modules.json").exists()


def test_real_test_queries_take_the_place_of_generated_ones(typed, tmp_path):
    rows = ["query,positive", "how to copy a whole tree,copytree", "how to wrap text,textwrap.html"]
    (tmp_path / "real.csv").write_text("\n".join(rows))
    shown = typed("evaluate", more=["--test-queries", "real.csv", "--json", "--quiet"])
    found = json.loads(shown.splitlines()[-1])
    assert (found["synthetic"], found["queries"]) == (False, 2)


def test_each_verb_says_what_it_wrote(typed, tmp_path, tiny_data):
    found = json.loads(typed("generate", "queries", more=["--json"]).splitlines()[-1])
    assert found["stage"] == "queries"
    assert found["queries"] > 40
    assert found["generator"] == "offline"
    assert set(found["sieve"]) == {"passed", "turned_down", "examples"}
    found = json.loads(typed("generate", "reverse", more=["--json", "--quiet"]).splitlines()[-1])
    assert found["stage"] == "generate"
    assert found["passages"] == found["gold"] + found["extractive"] + found["none"]


def test_a_run_that_is_there_gets_other_wordings_unless_its_recipe_says_none(
    tiny_data, tiny_model, tmp_path
):
    chat = Chat(lambda body: json.dumps({"queries": ["another wording of it"]}))
    with serving(chat) as url:
        recipe = {"generate": {"generator": f"vllm:tiny@{url}", "round_trip": 50}}
        made = open_run(tiny_data, str(tiny_model), tmp_path / "run", overrides=recipe)
        assert made.recipe.generate.paraphrases == 0
        verb = ["generate", "paraphrases", str(made.path), "--json"]
        assert "give the same command with --yes" in str(CliRunner().invoke(app, verb).exception)
        ended = CliRunner().invoke(app, [*verb, "--yes"])
    assert json.loads(ended.stdout.splitlines()[-1])["stage"] == "paraphrases"
    assert read_json(made.path / "recipe.json")["overrides"]["generate"] == recipe["generate"] | {
        "paraphrases": 3
    }
    nothing = {"generate": {"paraphrases": 0, "passages": 0}}
    none = open_run(tiny_data, str(tiny_model), tmp_path / "none", overrides=nothing)
    refused = [
        CliRunner().invoke(app, ["generate", what, str(none.path)])
        for what in ("paraphrases", "queries")
    ]
    assert "generate.paraphrases is 0 in the recipe of" in str(refused[0].exception)
    assert "has training queries, and none are to be written beside them: generate.pass" in str(
        refused[1].exception
    )


def test_prompts_can_be_had_as_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["generate", "prompts", "mine"])
    assert ended.exit_code == 0
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        path.name for path in BUILT_IN_PROMPTS.iterdir()
    }
    again = CliRunner().invoke(app, ["generate", "prompts", "mine"])
    assert "is not empty" in str(again.exception)


def test_a_run_that_was_refused_goes_on_when_the_same_command_is_right(
    typed, documents, tmp_path, capsys, monkeypatch
):
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chat = Chat(
        lambda body: json.dumps(
            {"queries": ["what is told here of " + str(abs(hash(str(body))) % 997)]}
        )
    )
    with serving(chat) as url:
        verb = ["generate", "queries", str(documents), "--recipe", "recipe.yaml", "--out", "run"]
        server = ["--generator", f"openai:tiny@{url}"]
        with_key = CliRunner().invoke(
            app, [*verb, "--generator", "openai:tiny@http://me:sk-secret@127.0.0.1:9/v1"]
        )
        assert "keep the key out" in str(with_key.exception)
        assert "secret" not in "".join(capsys.readouterr()) + with_key.output
        refused = CliRunner().invoke(app, [*verb, *server])
        assert "give the same command with --yes" in str(refused.exception)
        assert (tmp_path / "run").exists()
        agreed = CliRunner().invoke(app, [*verb, *server, "--yes"])
        assert "is not empty" not in str(agreed.exception)
    assert chat.calls == 80
    (documents / "broken.pdf").unlink()


def test_what_cannot_be_read_is_named_before_anything_is_written(typed, documents, tmp_path):
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    shown = typed("generate", "queries", said="broken.pdf: cannot be read")
    assert str(Path("runs") / "papers" / "queries" / "queries.jsonl") in shown.replace("\n", "")
    (documents / "broken.pdf").unlink()


def test_a_guard_that_cannot_be_read_is_named_before_anything_is_written(
    documents, tiny_model, tmp_path
):
    wanted = {"generate": {"passages": 80}, "guard": {"data": str(tmp_path / "nowhere")}}
    with pytest.raises(WhetError, match=r"guard\.data: .*nowhere"):
        open_run(documents, str(tiny_model), tmp_path / "run", overrides=wanted)
    assert not (tmp_path / "run" / "queries").exists()
