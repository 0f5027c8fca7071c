"""Self-attention and the blocks of an encoder."""

from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.domain import InvalidValue
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.module import Layer

SHORT = 16
"""Tokens up to which two sequences share one call in training."""


class SelfAttention(Layer):
    """``softmax(Q K' / sqrt(d/H)) V`` for H heads, and a projection.

    Parameters
    ----------
    width
        d, a multiple of ``heads``.
    heads
        H, >= 1.

    Attention weights themselves are never dropped: it would cost a fifth of the time of a training step.

    Examples
    --------
    >>> SelfAttention(8, 2)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])

    References
    ----------
    Vaswani et al. (2017), eq. 1.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        require_divisible(width, heads)
        self.heads = heads
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.joint.weight)
        nn.init.zeros_(self.joint.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor, only: int | None = None) -> Tensor:
        """Return (n, P, d) from tokens (n, P, d), or (n, 1, d) for the one token that is asked for."""
        if torch.onnx.is_in_onnx_export():
            return self._written(tokens, only)
        query, key, value = self.joint(tokens).chunk(3, dim=-1)
        if only is not None:
            query = _one(query, only)
        result: Tensor = self.out(self._mixed(query, key, value))
        return result

    def _written(self, tokens: Tensor, only: int | None) -> Tensor:
        """Return the same as a file says it: attention is one operator of the runtime, and not a dozen."""
        weights, biases = self.joint.weight.chunk(3), self.joint.bias.chunk(3)
        asked = tokens if only is None else _one(tokens, only)
        query = F.linear(asked, weights[0], biases[0])
        key, value = (F.linear(tokens, weights[part], biases[part]) for part in (1, 2))
        fused: Any = _Fused.apply
        result: Tensor = self.out(fused(query, key, value, self.heads))
        return result

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return softmax(Q K' / sqrt(d/H)) V of parts (n, P, d)."""
        n, tokens, width = query.shape
        mask: Tensor | None = None
        if self.training and query.device.type == "cpu" and 1 < tokens <= SHORT and n % 2 == 0:
            # A call costs more than so few numbers: two sequences share one and do not see each other.
            whose = torch.arange(2 * tokens) // tokens
            mask = whose[:, None] == whose
            query, key, value = (part.reshape(n // 2, 2 * tokens, width) for part in (query, key, value))
        narrow = query.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if narrow:
            query, key, value = query.float(), key.float(), value.float()
        # A processor has no fast attention in half precision.
        with torch.autocast("cpu", enabled=False) if narrow else nullcontext():
            mixed = F.scaled_dot_product_attention(
                self._split(query), self._split(key), self._split(value), attn_mask=mask
            )
        return mixed.transpose(1, 2).reshape(n, tokens, width)

    def _split(self, part: Tensor) -> Tensor:
        n, tokens, width = part.shape
        return part.reshape(n, tokens, self.heads, width // self.heads).transpose(1, 2)


class _Fused(torch.autograd.Function):
    """The operator of ONNX Runtime; only its shape is known here."""

    @staticmethod
    def forward(_: Any, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:  # noqa: ARG004 - as the file's
        return torch.zeros_like(query)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int) -> Any:
        mixed = graph.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads)
        return mixed.setType(query.type())


class TokenBatchNorm(Layer):
    """Batch normalisation of each of the d numbers over all tokens of a batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (n, P, d), normalised."""
        result: Tensor = self.norm(tokens.transpose(1, 2)).transpose(1, 2)
        return result


class EncoderBlock(Layer):
    """Attention and a feed-forward net, each with a shortcut.

    ``pre_layer``: ``x + f(LN(x))``; ``post_batch``: ``BN(x + f(x))``.

    Parameters
    ----------
    width, heads
        d and H.
    inner
        Width of the feed-forward net.
    dropout
        Of what is added to the shortcuts, in [0, 1).
    norm
        ``pre_layer`` or ``post_batch``.

    Examples
    --------
    >>> block = EncoderBlock(8, 2, 16).eval()
    >>> tokens = torch.randn(3, 5, 8)
    >>> torch.allclose(block(tokens, only=-1), block(tokens)[:, -1:], atol=1e-6)
    True
    >>> torch.allclose(block.mean(tokens), block(tokens).mean(dim=1), atol=1e-6)
    True

    References
    ----------
    Xiong et al. (2020), figure 1b; Nie et al. (2023), section 3.1, for batch normalisation.
    """

    def __init__(
        self, width: int, heads: int, inner: int, dropout: float = 0.0, norm: str = "pre_layer"
    ) -> None:
        super().__init__()
        self.pre = norm == "pre_layer"
        self.attention = SelfAttention(width, heads)
        self.feed = nn.Sequential(
            nn.Linear(width, inner), nn.GELU(), Dropout(dropout), nn.Linear(inner, width)
        )
        self.norm_attention: nn.Module = nn.LayerNorm(width) if self.pre else TokenBatchNorm(width)
        self.norm_feed: nn.Module = nn.LayerNorm(width) if self.pre else TokenBatchNorm(width)
        self.drop = Dropout(dropout)

    def mean(self, tokens: Tensor) -> Tensor:
        """Return the mean (n, d) of what `forward` gives, without dropout.

        ``mean_P(W f) = W mean_P(f)``: the last product is of one token and not of P. Of ``pre_layer`` only.
        """
        kept = tokens + self.attention(self.norm_attention(tokens))
        widen, bend, _, narrow = self.feed
        wide: Tensor = bend(widen(self.norm_feed(kept)))
        result: Tensor = kept.mean(dim=1) + narrow(wide.mean(dim=1))
        return result

    def forward(self, tokens: Tensor, only: int | None = None) -> Tensor:
        """Return (n, P, d), or (n, 1, d) for the one token that is read out: all tokens are attended to."""
        kept: Tensor = tokens if only is None else _one(tokens, only)
        if self.pre:
            kept = kept + self.drop(self.attention(self.norm_attention(tokens), only))
            kept = kept + self.drop(self.feed(self.norm_feed(kept)))
        else:
            kept = self.norm_attention(kept + self.drop(self.attention(tokens, only)))
            kept = self.norm_feed(kept + self.drop(self.feed(kept)))
        return kept


class Encoder(Layer):
    """Several blocks; the last one computes only what is read out.

    Parameters
    ----------
    layers
        Blocks, >= 1.
    width, heads, inner, dropout, norm
        Of each block.
    final_norm
        Whether a layer norm follows the last block.

    Examples
    --------
    >>> Encoder(2, 8, 2, 16)(torch.ones(3, 5, 8), only=0).shape
    torch.Size([3, 1, 8])
    """

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float = 0.0,
        norm: str = "pre_layer",
        *,
        final_norm: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, inner, dropout, norm) for _ in range(layers))
        self.norm: nn.Module = nn.LayerNorm(width) if final_norm else nn.Identity()

    def forward(self, tokens: Tensor, only: int | None = None) -> Tensor:
        """Return (n, P, d), or (n, 1, d) where one token is read out."""
        last = len(self.blocks) - 1
        for place, block in enumerate(self.blocks):
            tokens = block(tokens, only if place == last else None)
        result: Tensor = self.norm(tokens)
        return result

    def mean(self, tokens: Tensor) -> Tensor:
        """Return the mean (n, d) of all tokens, as `EncoderBlock.mean` does; no norm may follow."""
        *first, last = self.blocks
        for block in first:
            tokens = block(tokens)
        result: Tensor = cast("EncoderBlock", last).mean(tokens)
        return result


def _one(tokens: Tensor, place: int) -> Tensor:
    return torch.narrow(tokens, 1, place % tokens.shape[1], 1)


def require_divisible(width: int, heads: int) -> None:
    """Refuse a width that the heads cannot share evenly.

    Examples
    --------
    >>> require_divisible(128, 7)
    Traceback (most recent call last):
    ...
    consilium.domain.errors.InvalidValue: width must be a multiple of the heads; got 128 for 7 heads: ...
    """
    if heads < 1 or width % heads:
        raise InvalidValue(
            "width must be a multiple of the heads", f"{width} for {heads} heads", "correct one of them"
        )
