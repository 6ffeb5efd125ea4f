"""The sentence model in PyTorch: MiniLM's encoder with one attention over the words and one score for each label."""

import math

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, INNER, HEADS, LAYERS, PLACES = 384, 1536, 12, 6, 512
FAR = -1e4


class Layer(nn.Module):
    """One layer of BERT (Devlin et al. 2018)."""

    def __init__(self, drop):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.n1, self.n2 = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.drop, self.p = nn.Dropout(drop), drop

    def forward(self, x, bias):
        batch, length, _ = x.shape
        q, k, v = (
            each(x).view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2) for each in (self.q, self.k, self.v)
        )
        if self.training:
            mixed = F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), self.p)
        else:
            likeness = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
            mixed = (likeness if bias is None else likeness + bias).softmax(-1) @ v
        x = self.n1(x + self.drop(self.o(mixed.transpose(1, 2).reshape(batch, length, WIDTH))))
        return self.n2(x + self.drop(self.down(F.gelu(self.up(x)))))


class Network(nn.Module):
    """Tokens to scores."""

    def __init__(self, vocabulary, labels, drop=0.1, places=PLACES):
        super().__init__()
        self.word, self.pos = nn.Embedding(vocabulary, WIDTH), nn.Embedding(places, WIDTH)
        self.kind = nn.Parameter(torch.zeros(WIDTH))
        self.norm, self.drop = nn.LayerNorm(WIDTH, eps=1e-12), nn.Dropout(drop)
        self.layers = nn.ModuleList(Layer(drop) for _ in range(LAYERS))
        self.ask, self.say = (nn.Linear(WIDTH, labels, bias=False) for _ in range(2))
        self.bias = nn.Parameter(torch.full((labels,), -3.0))
        nn.init.zeros_(self.ask.weight)
        nn.init.normal_(self.say.weight, std=0.02)

    def forward(self, ids, mask=None, said=None):
        """Batch x tokens to scores (batch x labels) and what each token adds to them (batch x labels x tokens).

        `mask`: which tokens are there; `said`: which of them are scored, the others being what was said before.
        """
        x = self.drop(self.norm(self.word(ids) + self.pos.weight[: ids.shape[1]] + self.kind))
        bias = None if mask is None else (1 - mask[:, None, None, :].to(x.dtype)) * FAR
        for layer in self.layers:
            x = layer(x, bias)
        attention = self.ask(x)
        scored = mask if said is None else said
        if scored is not None:
            attention = attention + (1 - scored[..., None].to(x.dtype)) * FAR
        parts = (attention.softmax(1) * self.say(self.drop(x))).transpose(1, 2)
        return parts.sum(-1) + self.bias, parts
