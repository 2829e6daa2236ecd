"""Small causal language models with a tokenizer of the tests' words.

A random one takes no time. A trained one takes seconds: it repeats the last words of a passage.
"""

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tiny import WORDS

COPIED = 3  # words at the end of a passage that the trained model writes as its query
PROMPT = "{{ passage }} ?"  # the question mark, which no passage holds, ends the passage
SPECIAL = ["<pad>", "<eos>", "<unk>", "?"]
TOKEN_IDS = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
STEPS = 250
ROWS = 64
LENGTH = 8  # words of a passage


def tiny_tokenizer():
    words = Tokenizer(models.WordLevel(TOKEN_IDS, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def random_lm(folder, seed=0):
    """Save a random model below `folder`, and return it."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(TOKEN_IDS),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model


def trained_lm(folder, seed=0):
    """Train a model, save it, and return the share of its words that it gets right."""
    model = random_lm(folder, seed)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, STEPS)
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        rows, labels = training_batch(rng)
        logits = model(input_ids=rows).logits[:, LENGTH:-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)
    return float((logits.argmax(dim=2) == labels).float().mean())


def training_batch(rng):
    """Rows of a passage, "?", its last words and "<eos>"; and what follows the "?"."""
    passage = torch.tensor(rng.integers(len(SPECIAL), len(TOKEN_IDS), (ROWS, LENGTH)))
    question_mark = torch.full((ROWS, 1), TOKEN_IDS["?"])
    end = torch.full((ROWS, 1), TOKEN_IDS["<eos>"])
    rows = torch.cat([passage, question_mark, passage[:, -COPIED:], end], dim=1)
    return rows, rows[:, LENGTH + 1 :]


def last_words(text):
    """What the trained model writes for a passage."""
    return " ".join(text.split()[-COPIED:])
