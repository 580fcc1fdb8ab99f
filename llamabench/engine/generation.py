"""Text generation: requests in, texts out, each a function of its prompt, its sampling and its number alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from llamabench.engine.batching import Batching, SharedPrompt, Text
from llamabench.engine.encoding import Encoder
from llamabench.engine.llama import Context, Tokens
from llamabench.errors import EngineError
from llamabench.records import Failure, GenerateRequest, GenerateResult


def stream_seed(prompt: Sequence[int], seed: int, number: int) -> int:
    """A 64-bit seed for one text: different for each prompt, each seed and each number, the same on every machine."""
    text = f"{seed}:{number}:{','.join(map(str, prompt))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


class Generator:
    """Generates texts in a context with separate streams.

    Args:
        context: A context with `kv_unified` off.
        encoder: Turns prompts into tokens.
        shares_prefixes: Whether a shared prefix is decoded once; None for wherever it is exact.
    """

    def __init__(self, context: Context, encoder: Encoder, *, shares_prefixes: bool | None = None):
        self._context = context
        self._encoder = encoder
        self._batching = Batching(context, shares_prefixes=shares_prefixes)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
        """Answers requests, in the order given.

        A request fails by itself when it cannot be encoded, when prompt and answer do not fit into the context, and
        when the model gives no number for one of its texts.

        Raises:
            EngineError: llama.cpp could not decode.
        """
        failures: dict[int, str] = {}
        prompts: dict[tuple[int, ...], SharedPrompt] = {}
        for index, request in enumerate(requests):
            try:
                tokens = self._encode(request)
            except EngineError as exc:
                failures[index] = str(exc)
                continue
            if request.n > 0:
                prompt = prompts.setdefault(tuple(tokens), SharedPrompt(tokens))
                prompt.waiting.extend(_texts(index, request, tokens))
        texts, failures_here = self._batching.run(list(prompts.values()))
        failures |= failures_here
        return [
            Failure(request.id, failures[index])
            if index in failures
            else GenerateResult(
                request.id,
                self._encoder.render(request.prompt),
                tuple(texts[index, number] for number in range(request.n)),
            )
            for index, request in enumerate(requests)
        ]

    def _encode(self, request: GenerateRequest) -> Tokens:
        prompt = self._encoder.encode(request.prompt)
        needed = len(prompt) + request.sampling.max_tokens
        room = self._context.n_ctx_per_sequence
        if not prompt:
            raise EngineError("The prompt is empty and the model asks for no beginning-of-text token.")
        if request.sampling.max_tokens < 1:
            raise EngineError(f"At least one token must be asked for, not {request.sampling.max_tokens}.")
        if needed > room:
            raise EngineError(f"The prompt and its answer need {needed} tokens, the context has {room}.")
        return prompt


def _texts(index: int, request: GenerateRequest, prompt: Tokens) -> Iterator[Text]:
    for number in range(request.n):
        yield Text(index, request, number=number, seed=stream_seed(prompt, request.sampling.seed, number))
