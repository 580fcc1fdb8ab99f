"""A small network of the llama architecture in PyTorch, its tensors named and laid out as llama.cpp reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamabench.data.demo_model import ROPE_BASE, Shape


class Block(nn.Module):
    """Attention and a gated feed-forward network, each added to what came in."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        n_kv = shape.n_embd // shape.n_head * shape.n_head_kv
        self.attn_norm = nn.RMSNorm(shape.n_embd, eps=1e-5)
        self.attn_q = nn.Linear(shape.n_embd, shape.n_embd, bias=False)
        self.attn_k = nn.Linear(shape.n_embd, n_kv, bias=False)
        self.attn_v = nn.Linear(shape.n_embd, n_kv, bias=False)
        self.attn_output = nn.Linear(shape.n_embd, shape.n_embd, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.n_embd, eps=1e-5)
        self.ffn_gate = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_up = nn.Linear(shape.n_embd, shape.n_ff, bias=False)
        self.ffn_down = nn.Linear(shape.n_ff, shape.n_embd, bias=False)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """One layer; `x` has the shape `(n_batch, n_tokens, n_embd)`."""
        x = x + self._attend(self.attn_norm(x), turns)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))

    def _attend(self, h: Tensor, turns: Tensor) -> Tensor:
        n_batch, n_tokens, n_embd = h.shape
        n_head, n_kv = self.shape.n_head, self.shape.n_head_kv
        q = _rotate(self.attn_q(h).view(n_batch, n_tokens, n_head, -1).transpose(1, 2), turns)
        k = _rotate(self.attn_k(h).view(n_batch, n_tokens, n_kv, -1).transpose(1, 2), turns)
        v = self.attn_v(h).view(n_batch, n_tokens, n_kv, -1).transpose(1, 2)
        k, v = (part.repeat_interleave(n_head // n_kv, 1) for part in (k, v))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.attn_output(seen.transpose(1, 2).reshape(n_batch, n_tokens, n_embd))


class Network(nn.Module):
    """The network; embeddings serve as the output matrix too.

    Args:
        shape: Dimensions.
        n_vocab: Tokens of the vocabulary.
        generator: Where the first weights are drawn from.
    """

    def __init__(self, shape: Shape, n_vocab: int, generator: torch.Generator):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(n_vocab, shape.n_embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.output_norm = nn.RMSNorm(shape.n_embd, eps=1e-5)
        for name, weights in self.named_parameters():
            if weights.ndim == 2:
                scale = 0.02 / (2 * shape.n_layer) ** 0.5 if name.endswith(("output.weight", "down.weight")) else 0.02
                nn.init.normal_(weights, std=scale, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, shape `(n_batch, n_tokens, n_vocab)`."""
        x = self.token_embd(tokens)
        turns = _turns(tokens.shape[1], self.shape.n_embd // self.shape.n_head)
        for block in self.blk:
            x = block(x, turns)
        return F.linear(self.output_norm(x), self.token_embd.weight)

    def tensors(self) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """The weights by the names that llama.cpp gives them."""
        for name, weights in self.state_dict().items():
            yield name, weights.numpy()


def _turns(n_tokens: int, n_rot: int) -> Tensor:
    """Cosine and sine of each position and pair, shape `(2, n_tokens, n_rot / 2)`.

    Source: Su et al. 2021, arXiv:2104.09864; neighbours make a pair, as in llama.cpp's LLAMA_ROPE_TYPE_NORM.
    """
    speeds = ROPE_BASE ** (-torch.arange(0, n_rot, 2) / n_rot)
    angles = torch.arange(n_tokens)[:, None] * speeds
    return torch.stack([angles.cos(), angles.sin()])


def _rotate(x: Tensor, turns: Tensor) -> Tensor:
    cos, sin = turns
    even, odd = x[..., ::2].float(), x[..., 1::2].float()
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)
