"""Every format that `whet.load` understands gives the same collection for the same data."""

import csv
import json
import re
import time

import pytest

import whet
from whet.data.read import content_fingerprint, read
from whet.records import Collection, Passage

PAIRS = [
    {
        "query": "what sharpens",
        "pos": ["stone", "strop"],
        "neg": ["cheese"],
        "neg_q": ["what is made of milk"],
    },
    {
        "query": "what cuts",
        "pos": ["knife"],
        "neg": ["cheese", "stone"],
        "neg_q": ["", "what sharpens"],
    },
    {"query": "what sharpens", "pos": ["file"], "neg": [], "neg_q": []},
]


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )


def write_beir(folder, corpus, queries, **qrels):
    write_jsonl(folder / "corpus.jsonl", corpus)
    write_jsonl(folder / "queries.jsonl", queries)
    for split, text in qrels.items():
        (folder / "qrels").mkdir(exist_ok=True)
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")


def sound(source):
    """What `read` finds, with no fault at all."""
    collection, faults = read(source)
    assert faults == ()
    return collection


def texts(collection):
    """Judgements, negatives and answers by text instead of id."""
    text = {identifier: passage.text for identifier, passage in collection.passages.items()}
    return {
        "qrels": {
            split: {
                collection.queries[q]: {text[p]: grade for p, grade in judged.items()}
                for q, judged in part.items()
            }
            for split, part in collection.qrels.items()
        },
        "negatives": {
            collection.queries[q]: [text[p] for p in found]
            for q, found in collection.negatives.items()
        },
        "answers": {text[p]: list(found) for p, found in collection.positive_queries.items()},
    }


EXPECTED = {
    "qrels": {
        "train": {"what sharpens": {"stone": 1, "strop": 1, "file": 1}, "what cuts": {"knife": 1}}
    },
    "negatives": {"what sharpens": ["cheese"], "what cuts": ["cheese", "stone"]},
    "answers": {"cheese": ["what is made of milk"], "stone": ["what sharpens"]},
}


class TestBeir:
    CORPUS = (
        {"_id": "d1", "title": "Stone", "text": "sharpens\u2028steel", "metadata": {}},
        {"_id": 2, "title": "Only a title", "text": ""},
        {"_id": "d3", "text": "x"},
    )
    QUERIES = ({"_id": "q1", "text": "a"}, {"_id": "q2", "text": "b"})

    def test_everything_is_kept(self, tmp_path, capsys):
        write_beir(
            tmp_path,
            self.CORPUS,
            self.QUERIES,
            train="query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t0\nq1\t2\t1.0\n",
            validation="q2\td3\t-1\r\nq2\td1\t1\r\n",
            test="q2 0 d3 1\n\nq2 0 d1 3\n",
            train_official="nonsense",
        )
        collection = sound(tmp_path)
        assert collection.name == tmp_path.name
        assert collection.passages == {
            "d1": Passage("d1", "sharpens\u2028steel", "Stone"),
            "2": Passage("2", "", "Only a title"),
            "d3": Passage("d3", "x"),
        }
        assert collection.passages["d1"].content == "Stone sharpens\u2028steel"
        assert collection.queries == {"q1": "a", "q2": "b"}
        assert collection.qrels == {
            "train": {"q1": {"d1": 2, "d3": 0, "2": 1}},
            "dev": {"q2": {"d3": -1, "d1": 1}},
            "test": {"q2": {"d3": 1, "d1": 3}},
        }
        assert list(collection.qrels) == ["train", "dev", "test"]
        assert collection.positives("train") == {"q1": ["d1", "2"]}
        assert "train_official.tsv ignored" in capsys.readouterr().err

    def test_a_byte_order_mark_and_crlf_are_tolerated(self, tmp_path):
        write_beir(
            tmp_path,
            self.CORPUS,
            self.QUERIES,
            train="\ufeffquery-id\tcorpus-id\tscore\r\nq1\td1\t1\r\n",
        )
        for name in ("corpus.jsonl", "queries.jsonl"):
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
        assert sound(tmp_path).qrels == {"train": {"q1": {"d1": 1}}}

    def test_a_line_that_comes_twice_is_a_warning(self, tmp_path, capsys):
        write_beir(
            tmp_path,
            [*self.CORPUS, self.CORPUS[0]],
            self.QUERIES,
            train="q1\td1\t1\nq2\td3\t1\n",
            dev="q1\t2\t1\n",
            test="q2\t2\t1\n",
        )
        collection = whet.load(tmp_path)
        assert len(collection.passages) == 3
        said = " ".join(capsys.readouterr().err.split())
        assert "warning" in said
        assert (
            "corpus.jsonl:4: id 'd1' comes again with the same text [duplicate-id] Cure: Delete the line."
            in said
        )


class TestTables:
    def test_jsonl_with_a_blank_line(self, tmp_path):
        path = tmp_path / "pairs.jsonl"
        write_jsonl(path, PAIRS)
        path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        collection = sound(path)
        assert texts(collection) == EXPECTED
        assert (collection.name, list(collection.queries)) == ("pairs", ["q000001", "q000002"])
        assert list(collection.passages) == [f"p{number:06d}" for number in range(1, 6)]

    def test_json_as_list_and_as_lines(self, tmp_path):
        (tmp_path / "list.json").write_text(
            "\ufeff" + json.dumps(PAIRS, indent=1), encoding="utf-8"
        )
        write_jsonl(tmp_path / "lines.json", PAIRS)
        assert (
            texts(sound(tmp_path / "list.json"))
            == texts(sound(tmp_path / "lines.json"))
            == EXPECTED
        )

    def test_parquet(self, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(PAIRS), tmp_path / "pairs.parquet")
        assert texts(sound(tmp_path / "pairs.parquet")) == EXPECTED

    def test_saved_dataset_and_its_splits(self, tmp_path):
        from datasets import Dataset, DatasetDict

        Dataset.from_list(PAIRS).save_to_disk(tmp_path / "one")
        assert texts(sound(tmp_path / "one")) == EXPECTED
        parts = {"validation": Dataset.from_list(PAIRS[1:2]), "train": Dataset.from_list(PAIRS[:1])}
        DatasetDict(parts).save_to_disk(tmp_path / "two")
        collection = sound(tmp_path / "two")
        assert list(collection.qrels) == ["train", "dev"]
        assert texts(collection)["qrels"]["dev"] == {"what cuts": {"knife": 1}}

    @pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
    def test_delimited_by_name_in_any_order(self, tmp_path, suffix, delimiter):
        path = tmp_path / f"pairs.{suffix}"
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(["Negative_2", "Answer", "negative_1", "Question"])
            writer.writerow(["", "two\nlines", "cheese, old; and\tdry", 'the "query"'])
            writer.writerow(["n2", '["p1", "p2"]', "n1", "other"])
        assert texts(sound(path)) == {
            "qrels": {"train": {'the "query"': {"two\nlines": 1}, "other": {"p1": 1, "p2": 1}}},
            "negatives": {'the "query"': ["cheese, old; and\tdry"], "other": ["n1", "n2"]},
            "answers": {},
        }

    @pytest.mark.parametrize("query", ["query", "question", "anchor"])
    @pytest.mark.parametrize(
        "positive", ["positive", "positives", "pos", "answer", "passage", "document"]
    )
    @pytest.mark.parametrize(
        "negative", ["negative", "negatives", "neg", "hard_negatives", "negative_1"]
    )
    def test_names(self, tmp_path, query, positive, negative):
        write_jsonl(tmp_path / "pairs.jsonl", [{negative: "n", positive: "p", query: "q"}])
        found = texts(sound(tmp_path / "pairs.jsonl"))
        assert found == {
            "qrels": {"train": {"q": {"p": 1}}},
            "negatives": {"q": ["n"]},
            "answers": {},
        }

    def test_grades(self, tmp_path):
        rows = [
            {"query": "q", "passage": passage, "label": label}
            for passage, label in (("a", 2), ("b", 0), ("c", -1))
        ]
        write_jsonl(tmp_path / "pairs.jsonl", rows)
        assert texts(sound(tmp_path / "pairs.jsonl"))["qrels"] == {
            "train": {"q": {"a": 2, "b": 0, "c": -1}}
        }

    def test_folder_of_splits_shares_ids(self, tmp_path):
        write_jsonl(tmp_path / "train.jsonl", PAIRS[:1])
        (tmp_path / "val.csv").write_text("query,positive\nwhat hones,stone\n", encoding="utf-8")
        (tmp_path / "test.tsv").write_text("positive\tquery\nknife\twhat cuts\n", encoding="utf-8")
        collection = sound(tmp_path)
        assert texts(collection)["qrels"] == {
            "train": {"what sharpens": {"stone": 1, "strop": 1}},
            "dev": {"what hones": {"stone": 1}},
            "test": {"what cuts": {"knife": 1}},
        }
        assert len(collection.passages) == 4

    def test_warnings(self, tmp_path, capsys):
        rows = [
            {"query": "q", "pos": ["p"], "neg": [""], "answer": "a", "pos_scores": [1]},
            {"query": "q", "pos": ["r"], "neg": ["p", "n"], "answer": "a", "pos_scores": [1]},
        ]
        write_jsonl(tmp_path / "pairs.jsonl", rows)
        collection, faults = read(tmp_path / "pairs.jsonl")
        assert [(fault.kind, fault.where.rpartition(":")[2], fault.level) for fault in faults] == [
            ("ambiguous-column", "1", "warning"),
            ("empty-negative", "1", "warning"),
            ("negative-is-positive", "2", "warning"),
        ]
        assert texts(collection)["negatives"] == {"q": ["n"]}
        assert "columns ignored: answer, pos_scores" in capsys.readouterr().err


def test_load_takes_a_collection_and_says_what_it_split(capsys):
    passages = {f"d{n}": Passage(f"d{n}", f"text {n}") for n in range(9)}
    qrels = {"train": {f"q{n}": {f"d{n}": 1} for n in range(9)}}
    collection = Collection("mine", passages, {f"q{n}": f"question {n}" for n in range(9)}, qrels)
    loaded = whet.load(collection, split_seed=1)
    assert [len(loaded.qrels[split]) for split in ("train", "dev", "test")] == [6, 0, 3]
    assert (
        "test made from train by passage group; queries: train 6, dev 0, test 3"
        in capsys.readouterr().err
    )
    assert whet.load(loaded) == loaded
    assert capsys.readouterr().err == ""


def test_load_warns_of_given_splits_that_share_passages_with_train(capsys):
    passages = {"d1": Passage("d1", "one"), "d2": Passage("d2", "two")}
    queries = {"q1": "a", "q2": "b", "q3": "c"}
    qrels = {
        "train": {"q1": {"d1": 1}},
        "dev": {"q2": {"d2": 1}},
        "test": {"q3": {"d1": 1, "d2": 1}},
    }
    collection = Collection("mine", passages, queries, qrels)
    assert whet.load(collection) == collection
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(
        "warning mine: 1 passages that answer test queries are positives of training queries too"
    )


def test_fingerprint_sees_every_part():
    base = {
        "passages": {"d": Passage("d", "text", "title")},
        "queries": {"q": "query"},
        "qrels": {"train": {"q": {"d": 1}}},
        "negatives": {"q": ("d",)},
        "positive_queries": {"d": ("query",)},
    }
    others = [
        {"passages": {"d": Passage("d", "texttitle")}},
        {"queries": {"q": "Query"}},
        {"qrels": {"train": {"q": {"d": 2}}}},
        {"qrels": {"test": {"q": {"d": 1}}}},
        {"negatives": {}},
        {"positive_queries": {}},
    ]
    prints = [content_fingerprint(Collection("name", **base | other)) for other in ({}, *others)]
    assert len(set(prints)) == 7
    assert content_fingerprint(Collection("other name", **base)) == prints[0]
    lists = Collection(
        "name", **base | {"negatives": {"q": ["d"]}, "positive_queries": {"d": ["query"]}}
    )
    assert content_fingerprint(lists) == prints[0]


@pytest.mark.parametrize(
    "name",
    [
        "scifact",
        "integreat_en",
        "integreat_de",
        "nl2bash_a",
        "medquad_mini",
        "eda_tiny",
        "jaquad_ja",
    ],
)
def test_real_sets_have_the_sizes_that_they_state(shared, name):
    meta = (shared(name) / "META.md").read_text(encoding="utf-8")
    collection = sound(shared(name))
    assert len(collection.passages) == int(re.search(r"passages: (\d+)", meta)[1])
    queries = re.search(r"queries: train (\d+), dev (\d+), test (\d+)", meta).groups()
    positives = [collection.positives(split) for split in ("train", "dev", "test")]
    assert [len(split) for split in positives] == [int(number) for number in queries]
    if pairs := re.search(r"positive pairs: (\d+)/(\d+)/(\d+)", meta):
        assert [sum(map(len, split.values())) for split in positives] == [
            int(number) for number in pairs.groups()
        ]


def test_medquad_is_read_in_about_a_second(shared):
    began = time.process_time()
    collection = sound(shared("medquad"))
    assert time.process_time() - began < 3
    assert (len(collection.passages), len(collection.positives("test"))) == (16337, 2000)
    assert sum(map(len, collection.positives("train").values())) == 13394


def test_a_cell_may_be_a_whole_document(tmp_path):
    (tmp_path / "pairs.csv").write_text(f"query,positive\nwhat?,{'word ' * 40_000}\n")
    collection, faults = read(tmp_path / "pairs.csv")
    assert not faults
    assert [len(passage.text) for passage in collection.passages.values()] == [200_000]
