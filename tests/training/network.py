"""The sentence model in PyTorch: MiniLM's encoder, attention pooling with a query for each label, linear outputs.

The names of parameters are those in the weights that are shipped (detectors/meanings/*.onnx).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, FEED_FORWARD, HEADS, LAYERS = 384, 1536, 12, 6
"""Sizes of MiniLM-L6-H384 (Wang et al. 2020)."""
DROPOUT = 0.1
MASKED = -1e4
"""Added to the attention logits of masked tokens; half precision holds it."""


class Layer(nn.Module):
    """One encoder layer of BERT (Devlin et al. 2018)."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.n1, self.n2 = nn.LayerNorm(HIDDEN, eps=1e-12), nn.LayerNorm(HIDDEN, eps=1e-12)
        self.up, self.down = nn.Linear(HIDDEN, FEED_FORWARD), nn.Linear(FEED_FORWARD, HIDDEN)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x, attention_bias):
        batch, length, _ = x.shape
        q, k, v = (
            each(x).view(batch, length, HEADS, HIDDEN // HEADS).transpose(1, 2) for each in (self.q, self.k, self.v)
        )
        if self.training:
            mixed = F.scaled_dot_product_attention(q, k, v, attention_bias.to(q.dtype), DROPOUT)
        else:  # written out, as operators that can be exported and quantised
            logits = q @ k.transpose(-1, -2) / math.sqrt(HIDDEN // HEADS)
            mixed = (logits if attention_bias is None else logits + attention_bias).softmax(-1) @ v
        x = self.n1(x + self.drop(self.o(mixed.transpose(1, 2).reshape(batch, length, HIDDEN))))
        return self.n2(x + self.drop(self.down(F.gelu(self.up(x)))))


class Network(nn.Module):
    """Token ids to a logit for each label; its weights are to be loaded.

    Args:
        vocabulary_size: number of token ids.
        label_count: number of labels.
        max_positions: the longest input, in tokens.
    """

    def __init__(self, vocabulary_size, label_count, max_positions):
        super().__init__()
        self.word, self.pos = nn.Embedding(vocabulary_size, HIDDEN), nn.Embedding(max_positions, HIDDEN)
        self.kind = nn.Parameter(torch.zeros(HIDDEN))  # BERT's embedding of token type 0
        self.norm, self.drop = nn.LayerNorm(HIDDEN, eps=1e-12), nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        # For each label: the query of its attention over the tokens, and the weights of its linear output.
        self.ask, self.say = (nn.Linear(HIDDEN, label_count, bias=False) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(label_count))

    def forward(self, ids, attention_mask=None, pooling_mask=None):
        """Score a batch.

        Args:
            ids: token ids, shape (batch, tokens).
            attention_mask: 1 for tokens, 0 for padding, shape (batch, tokens); None if nothing is padded.
            pooling_mask: 1 for the tokens of the text itself, 0 for its context and padding, the same shape; None if
                there is no context.

        Returns:
            Logits, shape (batch, labels), and what each token contributes to them, shape (batch, labels, tokens).
        """
        x = self.drop(self.norm(self.word(ids) + self.pos.weight[: ids.shape[1]] + self.kind))
        attention_bias = None if attention_mask is None else (1 - attention_mask[:, None, None, :].to(x.dtype)) * MASKED
        for layer in self.layers:
            x = layer(x, attention_bias)
        attention = self.ask(x)
        pooled = attention_mask if pooling_mask is None else pooling_mask
        if pooled is not None:
            attention = attention + (1 - pooled[..., None].to(x.dtype)) * MASKED
        contributions = (attention.softmax(1) * self.say(self.drop(x))).transpose(1, 2)
        return contributions.sum(-1) + self.bias, contributions
