"""The verbs that generate queries, on documents of five formats that are real and made here.

Proved: one command goes from a folder of mixed files to a tuned model, without a question and
without a network, and says that its test queries are synthetic; real ones are taken where there are
some; each verb prints what it wrote; prompts can be had as files.
"""

import importlib
import json
import pydoc
import shutil
from importlib.metadata import distribution
from pydoc_data.topics import topics

import docx
import fpdf
import pytest
from chat_server import Chat, serving
from typer.testing import CliRunner

from tiny import RECIPE
from whet.cli.main import app
from whet.files import read_json, read_jsonl
from whet.generate.prompts import BUILT_IN_PROMPTS

MODULES = ("textwrap",)
PACKAGES = ("rich", "jinja2")
LENGTH = 4_000  # characters of a document at most
PASSAGES = 40
SETTINGS = {
    "train": RECIPE["train"] | {"epochs": 1, "evaluations": 1},
    "guard": RECIPE["guard"],
    "generate": {"passages": PASSAGES, "round_trip": 10},
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A folder of this Python's own documentation and package metadata, in five formats."""
    folder = tmp_path_factory.mktemp("papers") / "papers"
    folder.mkdir()
    for name in PACKAGES:
        readme = distribution(name).metadata.get_payload() or ""
        (folder / f"{name}.md").write_text(readme[:LENGTH], encoding="utf-8")
    for name in MODULES:
        module = importlib.import_module(name)
        page = pydoc.HTMLDoc().page(name, pydoc.HTMLDoc().document(module))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    names = sorted(topics)
    for name in names[:6]:
        (folder / f"{name}.txt").write_text(topics[name][:LENGTH], encoding="utf-8")
    write_word(folder / "topics.docx", names[6:10])
    write_pdf(folder / "more.pdf", names[16:20])
    return folder


def write_word(path, names):
    word = docx.Document()
    for name in names:
        word.add_heading(name, 1)
        word.add_paragraph(topics[name][:LENGTH])
    word.save(str(path))


def write_pdf(path, names):
    pdf = fpdf.FPDF()
    pdf.set_font("helvetica", size=10)
    for name in names:
        pdf.add_page()
        text = topics[name][:LENGTH].encode("latin-1", "replace").decode("latin-1")
        pdf.multi_cell(0, 5, text)
    pdf.output(str(path))


@pytest.fixture(scope="module")
def with_recipe(tiny_model, tmp_path_factory):
    """The options of a run that takes seconds."""
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    recipe.write_text(json.dumps(SETTINGS))
    return ["--model", str(tiny_model), "--recipe", str(recipe)]


def typed(*arguments):
    """Type a command that must do its work; what it printed."""
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exit_code == 0, f"{ended.output} {ended.exception}"
    return ended


def refused(*arguments):
    """Type a command that must fail; its error message."""
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exit_code != 0
    return str(ended.exception)


def last_object(ended):
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def generated(documents, with_recipe, tmp_path_factory):
    """A run on the documents up to the stage generate, and the object that it printed."""
    run = tmp_path_factory.mktemp("generated") / "run"
    ended = typed("generate", "reverse", documents, *with_recipe, "--out", run, "--json")
    return run, last_object(ended)


def files_of(judgements):
    """The files that passages of these judgements were cut from."""
    files = set()
    for judged in judgements.values():
        files.update(passage.split("#")[0] for passage in judged)
    return files


def test_queries_are_generated_for_a_folder_of_mixed_files(generated):
    run, _ = generated
    rows = read_jsonl(run / "queries" / "queries.jsonl")
    formats = {row["passage_id"].split("#")[0].rsplit(".", 1)[1] for row in rows}
    assert formats == {"md", "html", "txt", "docx", "pdf"}
    qrels = read_json(run / "check" / "split.json")["qrels"]
    assert files_of(qrels["train"]).isdisjoint(files_of(qrels["test"]))


def test_each_verb_prints_what_it_wrote(generated):
    run, positives = generated
    assert (positives["stage"], positives["folder"]) == ("generate", str(run / "generate"))
    sources = positives["gold"] + positives["extractive"] + positives["none"]
    assert positives["passages"] == sources
    queries = last_object(typed("generate", "queries", run, "--json", "--quiet"))
    assert (queries["stage"], queries["generator"]) == ("queries", "offline")
    assert PASSAGES / 2 < queries["queries"] <= PASSAGES
    assert set(queries["sieve"]) == {"passed", "turned_down", "examples"}


@pytest.fixture
def real_queries(tmp_path):
    """A table of two real queries."""
    path = tmp_path / "real.csv"
    rows = ["query,positive", "how to state a fact,assert.txt", "how to wrap text,textwrap.html"]
    path.write_text("\n".join(rows))
    return path


def test_real_test_queries_take_the_place_of_synthetic_ones(
    generated, documents, with_recipe, real_queries, tmp_path
):
    run = shutil.copytree(generated[0], tmp_path / "run")
    options = [*with_recipe, "--out", run, "--test-queries", real_queries]
    typed("check", documents, *options)
    qrels = read_json(run / "check" / "split.json")["qrels"]
    assert len(qrels["test"]) == 2
    assert files_of(qrels["test"]) == {"assert.txt", "textwrap.html"}


@pytest.mark.slow
def test_from_a_folder_of_mixed_files_to_a_tuned_model(
    documents, with_recipe, real_queries, tmp_path
):
    options = [documents, *with_recipe, "--out", tmp_path / "run", "--force", "--json"]
    result = last_object(typed("tune", *options))
    assert result["synthetic"] is True
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "synthetic" in page
    assert (tmp_path / "run" / "model" / "modules.json").exists()
    result = last_object(typed("evaluate", *options, "--test-queries", real_queries))
    assert (result["synthetic"], result["queries"]) == (False, 2)


def test_a_run_without_a_word_on_paraphrases_gets_three(tiny_data, tiny_model, tmp_path):
    chat = Chat(lambda body: json.dumps({"queries": ["another wording of it"]}))
    run = tmp_path / "run"
    with serving(chat) as url:
        settings = {"generator": f"vllm:tiny@{url}", "round_trip": 50}
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps({"generate": settings}))
        typed("check", tiny_data, "--model", tiny_model, "--out", run, "--recipe", recipe)
        assert read_json(run / "recipe.json")["resolved"]["generate"]["paraphrases"] == 0
        verb = ["generate", "paraphrases", run, "--json"]
        assert "give the same command with --yes" in refused(*verb)
        assert not (run / "paraphrases").exists()
        assert last_object(typed(*verb, "--yes"))["stage"] == "paraphrases"
    recorded = read_json(run / "recipe.json")["overrides"]["generate"]
    assert recorded == settings | {"paraphrases": 3}


def test_what_the_recipe_does_not_ask_for_is_not_generated(tiny_data, tiny_model, tmp_path):
    options = [tiny_data, "--model", tiny_model, "--out", tmp_path / "run"]
    options += ["--set", "generate.passages=0", "--set", "generate.paraphrases=0"]
    error = refused("generate", "paraphrases", *options)
    assert "generate.paraphrases is 0 in the recipe of" in error
    error = refused("generate", "queries", *options)
    assert "has training queries" in error
    assert "generate.passages is 0 in the recipe of" in error


def test_prompts_can_be_had_as_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed("generate", "prompts", "mine")
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {path.name for path in BUILT_IN_PROMPTS.iterdir()}
    assert "is not empty" in refused("generate", "prompts", "mine")


def test_a_run_that_was_refused_continues_when_the_same_command_is_right(
    documents, with_recipe, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chat = Chat(lambda body: json.dumps({"queries": [f"query {abs(hash(str(body))) % 997}"]}))
    verb = ["generate", "queries", documents, *with_recipe, "--out", tmp_path / "run"]
    with serving(chat) as url:
        server = ["--generator", f"openai:tiny@{url}"]
        address = "openai:tiny@http://me:sk-secret@127.0.0.1:9/v1"
        assert "keep the key out" in refused(*verb, "--generator", address)
        assert "secret" not in "".join(capsys.readouterr())
        assert "give the same command with --yes" in refused(*verb, *server)
        assert chat.calls == 0
        ended = CliRunner().invoke(app, [str(word) for word in [*verb, *server, "--yes"]])
        assert "is not empty" not in str(ended.exception)
    assert chat.calls == PASSAGES


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_used(
    documents, with_recipe, tmp_path
):
    folder = shutil.copytree(documents, tmp_path / "papers")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    run = tmp_path / "run"
    ended = typed("generate", "queries", folder, *with_recipe, "--out", run)
    assert "broken.pdf: cannot be read" in " ".join(ended.output.split())
    assert str(run / "queries" / "queries.jsonl") in ended.stdout


def test_a_forgetting_check_that_cannot_be_read_is_named_before_anything_is_written(
    documents, with_recipe, tmp_path
):
    run = tmp_path / "run"
    guard = ["--guard", tmp_path / "nowhere"]
    error = refused("tune", documents, *with_recipe, "--out", run, *guard)
    assert "guard.data: " in error
    assert "nowhere" in error
    assert not (run / "queries").exists()
