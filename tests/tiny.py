"""Stand-ins without a download: a random BERT, and a collection of made-up words for it."""

import json
from pathlib import Path

SYLLABLES = (
    "ba",
    "de",
    "fi",
    "go",
    "lu",
    "ma",
    "ne",
    "pi",
    "ro",
    "su",
    "ta",
    "ve",
    "ki",
    "zo",
    "hu",
)
WORDS = tuple(first + second for first in SYLLABLES for second in SYLLABLES)
CONCEPTS = 12  # concept i is WORDS[i] in a query and WORDS[CONCEPTS + i] in a passage
FILLERS = WORDS[2 * CONCEPTS :]
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz0123456789")
VOCABULARY = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *".,:;?!-'()/",
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *WORDS,
)


def tiny_bert(
    folder,
    *,
    seed=0,
    hidden=32,
    layers=2,
    max_seq_length=64,
    pooling="mean",
    normalise=True,
    dropout=0.1,
    prompts=None,
    similarity=None,
):
    """Save a random SentenceTransformer below `folder`, WordPiece and all, and return its path."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = Path(folder)
    backbone = folder / "backbone"
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=2 * max_seq_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bert = BertModel(config)
        # Words must count for more than positions, as in trained models.
        bert.embeddings.word_embeddings.weight.data.normal_()
        bert.save_pretrained(backbone)
    BertTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}).save_pretrained(backbone)
    modules = [Transformer(str(backbone), max_seq_length=max_seq_length), Pooling(hidden, pooling)]
    modules += [Normalize()] if normalise else []
    model = SentenceTransformer(
        modules=modules, device="cpu", prompts=prompts, similarity_fn_name=similarity
    )
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def tiny_collection(folder, *, size=200, unasked=0, seed=0):
    """Write a BEIR folder of `size` passages; all but the last `unasked` have a query each.

    A query names three concepts in words of its own; its passage names the same three in others. So
    what a model learns from some pairs serves on all the rest. Returns the folder.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    folder = Path(folder)
    (folder / "qrels").mkdir(parents=True)
    triples = []
    while len(triples) < size:
        triple = sorted(rng.choice(CONCEPTS, 3, replace=False).tolist())
        if triple not in triples:
            triples.append(triple)
    corpus, queries, qrels = [], [], ["query-id\tcorpus-id\tscore"]
    for i, triple in enumerate(triples):
        words = [WORDS[CONCEPTS + concept] for concept in triple]
        text = [*words, *rng.choice(FILLERS, int(rng.integers(2, 8))).tolist()]
        corpus.append(
            {"_id": f"p{i}", "title": "", "text": " ".join(rng.permutation(text).tolist())}
        )
        if i < size - unasked:
            queries.append({"_id": f"q{i}", "text": " ".join(WORDS[concept] for concept in triple)})
            qrels.append(f"q{i}\tp{i}\t1")
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / "train.tsv").write_text("\n".join(qrels) + "\n")
    return folder


LEARNING = {
    "train_only": "all",
    "learning_rate": 0.02,
    "epochs": 4,
    "batch_size": 16,
    "negatives": 2,
    "evaluations": 4,
}
LEARNING["soft_weight"] = 0.0
PLAIN = {"data": "none", "interpolate": False}
RECIPE = {
    "train": LEARNING,
    "guard": PLAIN,
    "generate": {"passages": 0},
}  # with it the tiny model gets better on the tiny collection, in a second
