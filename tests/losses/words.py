"""One-word texts as a BERT's features, without a model: [CLS] word [SEP], or [CLS] [SEP]."""

import torch


def word_features(texts):
    rows = [[2, *([ord(text)] if text else []), 3] for text in texts]
    return {
        "input_ids": torch.tensor([row + [0] * (3 - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (3 - len(row)) for row in rows]),
    }
