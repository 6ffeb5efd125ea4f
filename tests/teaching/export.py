"""`python -m tests.teaching.export OUT [upset]`: OUT/taught.pt (from teach) as a network of detectors/meanings, 8 bits.

With `upset` its row for that label alone, as upset.onnx; without, all the other rows, as model.onnx.
"""

import sys
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from detectors.sentences import FOLDER, MOST_TOKENS
from tests.teaching.network import Network


class One(nn.Module):
    """One text at a time, without padding."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids):
        scores, parts = self.network(ids[None])
        return scores[0], parts[0]


def export(out, upset):
    """Write one of the two networks beside the detectors."""
    weights = {name: value.float() for name, value in torch.load(out / "taught.pt").items()}
    for name in ("ask.weight", "say.weight", "bias"):
        weights[name] = weights[name][-1:] if upset else weights[name][:-1]
    weights["pos.weight"] = weights["pos.weight"][: MOST_TOKENS + 2]
    network = Network(len(weights["word.weight"]), len(weights["bias"]), places=MOST_TOKENS + 2)
    network.load_state_dict(weights)
    whole = out / "model.f32.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            One(network).eval(), (torch.tensor([2, 50, 60, 70, 80, 3]),), str(whole), input_names=["ids"],
            output_names=["scores", "parts"], dynamic_axes={"ids": {0: "n"}, "parts": {1: "n"}},
            opset_version=17, dynamo=False,
        )  # fmt: skip
    quantize_dynamic(
        str(whole), str(FOLDER / f"{'upset' if upset else 'model'}.onnx"), weight_type=QuantType.QInt8, per_channel=True
    )


if __name__ == "__main__":
    export(Path(sys.argv[1]), sys.argv[2:] == ["upset"])
