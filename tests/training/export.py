"""`python -m tests.training.export OUT [caller]`: OUT/taught.pt as detectors/meanings/model.onnx, 8 bits.

With `caller` OUT/caller.pt as caller.onnx.
"""

import sys
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from detectors.sentence_model import FOLDER
from tests.training.weights import SHIPPED
from tests.training.weights import network as begun


class One(nn.Module):
    """One text at a time, without padding."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids, begins=None):
        said = None if begins is None else (torch.arange(ids.shape[0]) >= begins)[None]
        scores, parts = self.network(ids[None], said=said)
        return scores[0], parts[0]


def export(out, name):
    """Write one of the two networks beside the detectors."""
    placed = name == "caller"
    network = begun(name, out)
    whole = out / "model.f32.onnx"
    example = torch.tensor([2, 50, 60, 70, 80, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            One(network).eval(), (example, torch.tensor(2)) if placed else (example,), str(whole),
            input_names=["ids", "begins"] if placed else ["ids"], output_names=["scores", "parts"],
            dynamic_axes={"ids": {0: "n"}, "parts": {1: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    # Weights of 7 bits: with 8, processors without VNNI (AMD before Zen 4, Intel before 2019) need a slower way to add
    # exactly (detectors/sentence_model.py). Against unrounded weights 7 bits are off by 0.12 (root mean square),
    # 8 bits by 0.10.
    quantize_dynamic(
        str(whole), str(FOLDER / SHIPPED[name]), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
    )


if __name__ == "__main__":
    export(Path(sys.argv[1]), "caller" if sys.argv[2:] == ["caller"] else "taught")
