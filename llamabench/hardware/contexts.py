"""The contexts that a plan may open: what a run would like, and ever smaller ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llamabench.hardware.attention import is_recurrent
from llamabench.hardware.layout import MIB, context_bytes
from llamabench.records import ContextPlan, Demand, ModelFacts, Overrides

MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ; llama.cpp ends the process above it
LEAST_BATCH = 64
CPU_BATCH, GPU_BATCH, HYBRID_BATCH = 512, 1024, 2048
CPU_PACK = 256  # prompts are read fastest in packs of this size on two cores; measured again when a model is opened
_LOGITS_BYTES = 256 * MIB
_CELLS = 256  # llama.cpp pads every context to this
_RECURRENT_SEQUENCES = 8  # each holds a whole state, 2 MiB and more per layer


@dataclass(frozen=True, slots=True)
class Contexts:
    """The two contexts of a plan; only one is open at a time.

    Attributes:
        scoring: For log-probabilities.
        generation: For generated text.
        is_generating: Whether the second will ever be opened.
    """

    scoring: ContextPlan
    generation: ContextPlan
    is_generating: bool

    def __iter__(self) -> Iterator[ContextPlan]:
        """Those that will be opened."""
        yield self.scoring
        if self.is_generating:
            yield self.generation


def shrinking_contexts(model: ModelFacts, demand: Demand, overrides: Overrides, *, n_batch: int) -> Iterator[Contexts]:
    """The contexts wanted, then ever smaller ones: each time, what makes the larger of the two large is halved.

    Nothing that a person has decided changes, and nothing that a sequence needs.

    Args:
        model: The model.
        demand: What the run needs.
        overrides: What a person has decided.
        n_batch: Tokens in a batch to begin with, where nobody has decided.
    """
    n_batch = overrides.n_batch or n_batch
    n_parallel = overrides.n_parallel or _bounded_parallel(model, demand)
    can_cut_batch, can_cut_texts = overrides.n_batch is None, overrides.n_parallel is None
    swa_full = True
    while True:
        contexts = Contexts(
            _scoring(model, demand, overrides, n_batch=n_batch),
            replace(_generation(model, demand, overrides, n_batch=n_batch, n_parallel=n_parallel), swa_full=swa_full),
            is_generating=demand.longest_generation > 0,
        )
        yield contexts
        is_generation_larger = context_bytes(model, contexts.generation) > context_bytes(model, contexts.scoring)
        if swa_full and model.n_swa and contexts.is_generating and is_generation_larger:
            swa_full = False
        elif can_cut_texts and n_parallel > 1 and (is_generation_larger or n_batch <= LEAST_BATCH):
            n_parallel //= 2
        elif can_cut_batch and n_batch > LEAST_BATCH:
            n_batch //= 2
        else:
            return


def _scoring(model: ModelFacts, demand: Demand, overrides: Overrides, *, n_batch: int) -> ContextPlan:
    """Room for the longest sequence, whose prefix is held, and one pack beside it."""
    n_outputs = min(n_batch, _most_outputs(model))
    n_sequences = min(MAX_SEQUENCES, n_outputs)
    if is_recurrent(model.architecture):
        n_sequences = min(n_sequences, max(_RECURRENT_SEQUENCES * n_batch // CPU_BATCH, 2), _RECURRENT_SEQUENCES)
    n_ctx = _pad(overrides.n_ctx or demand.longest_sequence + n_batch)
    return ContextPlan(
        n_ctx=n_ctx,
        n_seq_max=n_sequences,
        n_batch=min(n_batch, n_ctx),
        n_ubatch=min(overrides.n_ubatch or n_batch, n_batch, n_ctx),
        n_outputs_max=min(n_outputs, n_ctx),
        kv_unified=True,
    )


def _generation(
    model: ModelFacts, demand: Demand, overrides: Overrides, *, n_batch: int, n_parallel: int
) -> ContextPlan:
    """A stream of its own for each text, with room for the longest; one row of logits for each."""
    per_text = overrides.n_ctx if overrides.n_ctx and demand.longest_generation else demand.longest_generation
    n_ctx = n_parallel * _pad(per_text)
    n_batch = max(min(n_batch, n_ctx), n_parallel)
    return ContextPlan(
        n_ctx=n_ctx,
        n_seq_max=n_parallel,
        n_batch=n_batch,
        n_ubatch=max(min(overrides.n_ubatch or n_batch, n_batch), 1),
        n_outputs_max=n_parallel,
        kv_unified=False,
    )


def _bounded_parallel(model: ModelFacts, demand: Demand) -> int:
    """Texts side by side: as many as are worth it, as llama.cpp takes and as one batch gives a token each."""
    if demand.longest_generation == 0:
        return 1
    return max(min(demand.n_parallel, MAX_SEQUENCES, _most_outputs(model)), 1)


def _most_outputs(model: ModelFacts) -> int:
    """Rows of logits that stay within bounds, whatever the vocabulary."""
    return max(_LOGITS_BYTES // (model.n_vocab * 4), 1)


def _pad(n_tokens: int) -> int:
    return max((n_tokens + _CELLS - 1) // _CELLS, 1) * _CELLS
