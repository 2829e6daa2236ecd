"""A real causal language model, trained here in seconds: it reads a passage and writes its last three words again."""

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tiny import WORDS

COPIED = 3  # words at the end of a passage that the model writes as its query
PROMPT = "{{ passage }} ?"  # the question mark, which no passage holds, says that the passage ends
SPECIAL = ["<pad>", "<eos>", "<unk>", "?"]
STEPS, ROWS, LENGTH = 250, 64, 8


def tiny_lm(folder, seed=0):
    """Train the model, save it as transformers does, and return the share of its words that it gets right."""
    ids = {word: at for at, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **named)
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
    }
    tokens = {"vocab_size": len(ids), "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    model = LlamaForCausalLM(
        LlamaConfig(**shape, **tokens, tie_word_embeddings=True, initializer_range=0.1)
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, STEPS)
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        passage = torch.tensor(rng.integers(len(SPECIAL), len(ids), (ROWS, LENGTH)))
        end, stop = (torch.full((ROWS, 1), ids[word]) for word in ("?", "<eos>"))
        rows = torch.cat([passage, end, passage[:, -COPIED:], stop], dim=1)
        logits = model(input_ids=rows).logits[:, LENGTH:-1]
        wanted = rows[:, LENGTH + 1 :]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float((logits.argmax(dim=2) == wanted).float().mean())
