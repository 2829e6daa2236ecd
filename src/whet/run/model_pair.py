"""Both models of a finished run, side by side for the compare page."""

from whet.evaluate.slices import most_changed
from whet.models import stored_encoder
from whet.run.folder import Run
from whet.run.results import read_evaluation
from whet.serve.ranks import ModelPair, SearchedModel

EXAMPLES = 3  # queries that gained most, and as many that lost most


def model_pair_of(run: Run) -> ModelPair:
    """Base and tuned model with their vectors, and the queries whose ranking changed most."""
    _, rows, _ = read_evaluation(run.path)
    gained, lost = most_changed(rows, EXAMPLES)
    texts = list(run.passages.values())
    tuned_encoder = stored_encoder(run.model, run.path)
    base = SearchedModel(
        run.base, run.base_encoder.encoder, run.base_encoder.encode_passages(texts)
    )
    tuned = SearchedModel(
        str(run.path / "model"), tuned_encoder.encoder, tuned_encoder.encode_passages(texts)
    )
    return ModelPair(run.collection, base, tuned, examples=(*gained, *lost))
