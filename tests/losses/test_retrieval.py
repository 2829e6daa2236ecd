"""The losses in a plain sentence-transformers script, and over whet's own batches."""

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import PrinterCallback

from architectures import bert_mean, build, qwen3, static
from tiny import CONCEPTS, WORDS, tiny_bert
from whet.losses import (
    CollatedLoss,
    ContrastivePenalty,
    ContrastivePenaltyLoss,
    InfoNCE,
    InfoNCELoss,
    Packing,
    RetrievalLoss,
    SoftLabelLoss,
    SoftLabels,
    SoftPart,
)


@pytest.fixture
def model(tiny_model):
    return SentenceTransformer(str(tiny_model), device="cpu")


def features(model, *columns):
    return [model.preprocess(list(column)) for column in columns]


def gradients(model, parts):
    model.zero_grad()
    sum(parts.values()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert max(g.abs().max() for g in found.values()) > 1e-3
    return found


def test_columns_of_a_batch_of_one_are_the_papers_code(model):
    """Query, positive, then four negatives with a query each: the reference's arithmetic."""
    model.eval()
    negatives = [("go lu", "ma ne"), ("pi", "ro su ta"), ("ve ki", "zo"), ("hu", "ba ba")]
    columns = [["ba de"], ["fi"], *([text] for pair in negatives for text in pair)]
    parts = ContrastivePenaltyLoss(model, queries_per_negative=1)(features(model, *columns))
    vectors = torch.cat(
        [model(column)["sentence_embedding"] for column in features(model, *columns)]
    )
    query, passages, answered = vectors[:1], vectors[[1, 2, 4, 6, 8]], vectors[[3, 5, 7, 9]]
    scores = cosine_similarity(query, passages)[None]
    expected = 0.9 * cross_entropy(scores / 0.02, torch.tensor([0])) + 0.1 * torch.mean(
        1 - cosine_similarity(passages[1:], answered)
    )
    torch.testing.assert_close(sum(parts.values()), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        gradients(model, parts), gradients(model, {"": expected}), rtol=1e-3, atol=1e-4
    )


def test_without_weight_clp_is_infonce(model):
    model.eval()
    columns = features(model, ["ba", "de"], ["fi", "go"], ["lu", "ma"], ["ne", ""])
    clp = ContrastivePenaltyLoss(model, 0.05, penalty_weight=0.0, queries_per_negative=1)(columns)
    info_nce = InfoNCELoss(model, 0.05, queries_per_negative=1)(columns)
    assert clp["penalty"] == 0
    torch.testing.assert_close(clp["contrastive"], info_nce["contrastive"], rtol=0, atol=0)
    torch.testing.assert_close(gradients(model, clp), gradients(model, info_nce))


@pytest.mark.parametrize(
    "packing", [Packing(chunk_tokens=8), Packing(chunk_tokens=8, graph_tokens=1)]
)
def test_packing_changes_time_and_memory_only(model, packing):
    model.eval()
    columns = features(
        model, ["ba de fi", "de"], ["fi", "go lu ma ne"], ["lu", "ma"], ["ne ne", ""]
    )
    found = []
    for chosen in (Packing(chunk_tokens=4096), packing):
        parts = ContrastivePenaltyLoss(model, 0.05, queries_per_negative=1, packing=chosen)(columns)
        found.append((torch.stack(list(parts.values())), gradients(model, parts)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_an_empty_column_under_a_prompt_is_no_query(model):
    """The trainer's `prompts` put a prompt before the empty text too; it must not become an h*."""
    model.eval()
    plain = features(model, ["ba"], ["fi"], ["lu"])
    loss = ContrastivePenaltyLoss(model, queries_per_negative=1)
    assert loss([*plain, model.preprocess([""], prompt="ro su: ")])["penalty"] == 0
    assert loss([*plain, model.preprocess(["ne"], prompt="ro su: ")])["penalty"] > 0


def test_half_precision_around_leaves_the_loss_in_float32(model):
    """Under the trainer's bf16 the model runs in bf16; similarities divided by τ do not."""
    columns = features(model, ["ba", "de"], ["fi", "go"])
    seen = []
    dense = model[0].auto_model.encoder.layer[0].output.dense
    dense.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = InfoNCELoss(model)(columns)
    assert set(seen) == {torch.bfloat16}
    assert parts["contrastive"].dtype == torch.float32


def rows(kind):
    """A query and its passage name a concept, each in its own word; a negative names another."""
    other = [(i + 7) % CONCEPTS for i in range(CONCEPTS)]
    found = {
        "query": [WORDS[i] for i in range(CONCEPTS)],
        "answer": [WORDS[CONCEPTS + i] for i in range(CONCEPTS)],
        "wrong": [WORDS[CONCEPTS + i] for i in other],
        "of_wrong": [WORDS[i] if i % 3 else "" for i in other],
    }
    return Dataset.from_dict(
        {name: found[name] for name in list(found)[: {"infonce": 3, "clp": 4}[kind]]}
    )


@pytest.mark.parametrize("kind", ["infonce", "clp"])
def test_a_plain_training_script_learns_and_logs_the_parts(tmp_path, kind):
    model = SentenceTransformer(str(tiny_bert(tmp_path, dropout=0.0)), device="cpu")
    loss = (
        InfoNCELoss(model, 0.1)
        if kind == "infonce"
        else ContrastivePenaltyLoss(model, 0.1, queries_per_negative=1)
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"),
            max_steps=30,
            per_device_train_batch_size=15,
            learning_rate=3e-3,
            logging_steps=5,
            eval_strategy="steps",
            eval_steps=30,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=rows(kind),
        eval_dataset=rows(kind),
        loss=loss,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    parts = ["contrastive"] if kind == "infonce" else ["contrastive", "penalty"]
    assert logged[-1]["loss"] < 0.3 * logged[0]["loss"]
    for row in logged:
        assert sum(row[part] for part in parts) == pytest.approx(row["loss"], abs=2e-3)
    (evaluated,) = [row for row in trainer.state.log_history if "eval_loss" in row]
    assert {f"eval_{part}" for part in parts} <= set(evaluated)
    assert all(row[part] > 0 for row in logged for part in parts)


@pytest.mark.parametrize("make", [bert_mean, qwen3, static])
@pytest.mark.parametrize("negatives", [0, 1, 2])
def test_columns_give_what_sentence_transformers_gives(tmp_path, make, negatives):
    """Same value and gradients as MultipleNegativesRankingLoss, where no text stands twice."""
    model = build(make, tmp_path).eval()
    texts = [" ".join(WORDS[i : i + 1 + i % 4]) for i in range(0, 60, 5)]
    columns = [model.preprocess(texts[i : i + 3]) for i in range(0, 6 + 3 * negatives, 3)]

    def learned(loss):
        model.zero_grad()
        loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    ours = InfoNCELoss(model, temperature=0.05)(columns)["contrastive"]
    theirs = MultipleNegativesRankingLoss(model, scale=20.0)(
        [dict(column) for column in columns], None
    )
    torch.testing.assert_close(ours, theirs)
    found, expected = learned(ours), learned(theirs)
    assert max(g.abs().max() for g in expected) > 1e-2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def collated(model, labels=None):
    """A batch as whet's collator makes it: two queries and one more h*, three passages."""
    features = [model.preprocess(["ba", "de", "lu ma"]), model.preprocess(["fi", "go", "ne"])]
    relations = {
        "positive": torch.tensor([0, 1]),
        "negative": torch.tensor([[False, True, True], [True, False, True]]),
        "answers": torch.eye(3, dtype=torch.bool),
    }
    if labels is not None:
        relations["label"] = torch.tensor(labels)
    return features, relations


LABELS = [[1.0, 0.0, torch.nan], [0.2, 0.9, 0.4]]


def test_a_collated_batch_costs_what_its_columns_cost(model):
    """The third passage is the first row's negative and answers "lu ma"."""
    model.eval()
    columns = features(model, ["ba", "de"], ["fi", "go"], ["ne", "ne"], ["lu ma", "lu ma"])
    expected = ContrastivePenaltyLoss(model, 0.05, 0.2, queries_per_negative=1, in_batch=False)
    batch, relations = collated(model)
    relations["negative"] = torch.tensor([[False, False, True], [False, False, True]])
    parts = CollatedLoss(model, [ContrastivePenalty(0.05, 0.2)])(batch, relations)
    torch.testing.assert_close(parts, expected(columns), rtol=1e-5, atol=1e-6)


def test_the_last_parts_are_unweighted_and_beside_their_weights(model):
    batch, relations = collated(model, LABELS)
    objectives = [ContrastivePenalty(0.05, 0.2), SoftLabels(0.05, SoftPart(0.5, "mse"))]
    loss = CollatedLoss(model.eval(), objectives)
    weighted = loss(batch, relations)
    assert list(weighted) == ["contrastive", "penalty", "soft"]
    assert loss.last_parts.weights == {"contrastive": 0.8, "penalty": 0.2, "soft": 0.5}
    for name, value in loss.last_parts.values.items():
        assert not value.requires_grad
        assert loss.last_parts.weights[name] * value == weighted[name]


def test_soft_labels_alone(model):
    batch, relations = collated(model, LABELS)
    (part,) = SoftLabelLoss(model)(batch, relations).values()
    assert part > 0
    both = CollatedLoss(model, [InfoNCE(0.05), SoftLabels(0.05)])
    assert list(both(*collated(model))) == ["contrastive"]
    with pytest.raises(ValueError, match="no soft labels, and the loss has no other part"):
        SoftLabelLoss(model)(*collated(model))


def test_the_model_card_gets_the_settings(model):
    loss = ContrastivePenaltyLoss(model, 0.05, 0.2, in_batch=False)
    expected = {"temperature": 0.05, "penalty_weight": 0.2, "in_batch": False}
    assert loss.get_config_dict() == expected
    assert RetrievalLoss(model, InfoNCE(0.1)).get_config_dict() == {
        "temperature": 0.1,
        "in_batch": True,
    }
