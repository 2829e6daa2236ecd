import pytest

from whet.records import Collection, Passage
from whet.serve.ranks import SHOWN_PASSAGES, ModelPair, known_grades, rank_both


def dot_product(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("name", ["base", "tuned"])
@pytest.mark.parametrize("query", ["cat", "dog fish", "bird bird cat", "nothing known"])
def test_ranks_are_those_of_a_plain_sort(models, query, name):
    model = getattr(models, name)
    query_vector = model.encoder.encode_queries([query])[0].tolist()
    scores = [dot_product(query_vector, vector) for vector in model.vectors.tolist()]
    order = sorted(range(len(scores)), key=lambda row: (-round(scores[row], 6), row))

    ranked = getattr(rank_both(models, query, shown=3), name)
    assert [item.row for item in ranked] == order[:3]
    assert [getattr(item, f"{name}_rank") for item in ranked] == [1, 2, 3]
    expected = [scores[row] for row in order[:3]]
    assert [getattr(item, f"{name}_score") for item in ranked] == pytest.approx(expected)


def test_a_passage_has_the_same_ranks_on_either_side(models):
    results = rank_both(models, "cat bird", shown=4)
    tuned_by_row = {item.row: item for item in results.tuned}
    for item in results.base:
        assert item == tuned_by_row[item.row]
    assert sum(item.ranks_won for item in results.tuned) == 0
    assert any(item.ranks_won > 0 for item in results.tuned)


def test_grades_are_found_by_text_the_test_split_first(models):
    collection = models.collection
    assert known_grades(collection, " WHICH cat? ") == ("test", {"p3": 1, "p0": 2, "p1": 0})
    assert known_grades(collection, "which fish") == ("train", {"p1": 1})
    assert known_grades(collection, "which dog") == (None, {})


def test_no_more_than_ten_a_side_and_positives_at_any_rank(searched):
    passages = {f"p{i}": Passage(f"p{i}", "cat " * (i + 1) + "dog") for i in range(40)}
    collection = Collection("c", passages, {"q": "cat"}, {"test": {"q": {"p0": 1}}})
    model = searched("plain", passages)
    results = rank_both(ModelPair(collection, model, model), "cat")
    assert len(results.base) == len(results.tuned) == SHOWN_PASSAGES
    assert [(item.passage.id, item.base_rank) for item in results.positives] == [("p0", 40)]
