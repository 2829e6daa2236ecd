"""Random models of the kinds that people tune: other backbones, poolings, prompts, towers."""

from functools import partial

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
)

from tiny import VOCABULARY, WORDS, tiny_bert

PROMPTS = {"query": "bade : ", "document": "bafi bago : "}
SIZE = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}


def tokenizer(template=None):
    """Whole words; `template` says which special tokens go around a text, none without it."""
    found = Tokenizer(
        WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    found.pre_tokenizer = Whitespace()
    if template:
        special = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
        found.post_processor = TemplateProcessing(single=template, special_tokens=special)
    return found


def transformer(folder, backbone, template, padding_side="right"):
    """A backbone as sentence-transformers' first module, 24 tokens long."""
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    backbone.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(template), padding_side=padding_side, **names
    ).save_pretrained(folder)
    return Transformer(str(folder), max_seq_length=24)


def bert(folder, **settings):
    return SentenceTransformer(str(tiny_bert(folder, max_seq_length=24, **settings)), device="cpu")


def bert_mean(folder, **settings):
    return bert(folder, normalise=False, **settings)


def bert_cls(folder):
    return bert(folder, pooling="cls")


def bert_prompted(folder):
    return bert(folder, prompts=PROMPTS)


def bert_prompt_left_out(folder):
    model = bert(folder, prompts=PROMPTS)
    model[1].include_prompt = False
    return model


def bert_short_vectors(folder):
    model = bert(folder)
    model.truncate_dim = 8
    return model


def mean_pooled(kind, folder, **settings):
    """An encoder of a family, by the name of its transformers classes."""
    config = getattr(transformers, f"{kind}Config")(**SIZE | {"pad_token_id": 0} | settings)
    first = transformer(folder, getattr(transformers, f"{kind}Model")(config), "[CLS] $A [SEP]")
    return SentenceTransformer(modules=[first, Pooling(32), Normalize()], device="cpu")


def modernbert(folder, **settings):
    config = ModernBertConfig(
        **SIZE | settings, pad_token_id=0, cls_token_id=2, sep_token_id=3, local_attention=8
    )
    first = transformer(folder, ModernBertModel(config), "[CLS] $A [SEP]")
    return SentenceTransformer(modules=[first, Pooling(32)], device="cpu")


def mpnet(folder, **settings):
    return mean_pooled("MPNet", folder, **settings)


def distilbert(folder, *, intermediate_size=64, **settings):
    own = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": intermediate_size}
    return mean_pooled("DistilBert", folder, **own, **settings)


def gemma3(folder, **settings):
    """As EmbeddingGemma: a decoder that looks both ways, and two dense layers on top of it."""
    decoder = {
        "num_key_value_heads": 2,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 8,
    }
    config = transformers.Gemma3TextConfig(
        **SIZE | decoder | settings, pad_token_id=0, use_bidirectional_attention=True
    )
    first = transformer(folder, transformers.Gemma3TextModel(config), "[CLS] $A [SEP]")
    dense = [Dense(32, 48, bias=False), Dense(48, 32, bias=False)]
    return SentenceTransformer(modules=[first, Pooling(32), *dense, Normalize()], device="cpu")


def qwen3(folder, template="$A [SEP]", **settings):
    """A decoder padded on the left, pooled at its last token, told its task by a prompt."""
    config = Qwen3Config(**SIZE | settings, num_key_value_heads=2, head_dim=8, pad_token_id=0)
    first = transformer(folder, Qwen3Model(config), template, padding_side="left")
    modules = [first, Pooling(32, "lasttoken"), Normalize()]
    return SentenceTransformer(
        modules=modules, device="cpu", prompts={"query": "balu : ", "document": ""}
    )


def qwen3_without_special_tokens(folder):
    return qwen3(folder, template=None)


def static(folder):
    return SentenceTransformer(
        modules=[StaticEmbedding(tokenizer(), embedding_dim=16)], device="cpu", prompts=PROMPTS
    )


def two_towers(folder):
    router = Router.for_query_document(
        query_modules=[StaticEmbedding(tokenizer(), embedding_dim=32)],
        document_modules=[
            transformer(folder, MPNetModel(MPNetConfig(**SIZE, pad_token_id=0)), "[CLS] $A"),
            Pooling(32),
        ],
    )
    return SentenceTransformer(modules=[router], device="cpu")


ARCHITECTURES = [
    bert_mean,
    bert_cls,
    bert_prompted,
    bert_prompt_left_out,
    bert_short_vectors,
    modernbert,
    mpnet,
    qwen3,
    qwen3_without_special_tokens,
    static,
    two_towers,
]

FAMILIES = {
    "Bert": partial(mean_pooled, "Bert"),
    "Roberta": partial(mean_pooled, "Roberta"),
    "XLMRoberta": partial(mean_pooled, "XLMRoberta"),
    "MPNet": mpnet,
    "DistilBert": distilbert,
    "ModernBert": modernbert,
    "Qwen3": qwen3,
    "Gemma3Text": gemma3,
}


def build(make, folder):
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(folder)


def texts_of(count, seed=0, longest=40):
    """Texts of all lengths, some beyond what the models read, some twice."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, int(rng.integers(1, longest)))) for _ in range(count)]
    return [*texts, texts[0], texts[count // 2], WORDS[0]]
