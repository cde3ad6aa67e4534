"""`embedding`: nearness in meaning, as the packaged MiniLM sees it."""

from __future__ import annotations

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, marked


@scorer("embedding", costly=True)
def embedding(expected: str, got: str, *, pass_mark: float) -> Score:
    """The cosine of both texts' embeddings, at least 0; passes from `pass_mark` on.

    Paraphrases come to 0.8 or so and unrelated texts to 0.2 or less; texts that contradict each other
    come as near as paraphrases.

    Raises:
        ResidencyError: the model is not installed.
    """
    from residency.models.embedding import embed

    wanted, given = embed([expected, got])
    cosine = float(wanted @ given)
    return marked("cosine", min(1.0, max(0.0, cosine)), pass_mark)
