"""`python -m tests.training.export OUT [caller]`: writes OUT/words.pt to detectors/meanings/model.onnx, quantised.

With `caller` OUT/caller.pt to caller.onnx.
"""

import sys
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from detectors.sentence_model import FOLDER
from tests.training.weights import ONNX_FILES, load_network


class SingleText(nn.Module):
    """A network without batch dimension and padding; inputs and outputs as `detectors.sentence_model` takes them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids, text_start=None):
        pooling_mask = None if text_start is None else (torch.arange(ids.shape[0]) >= text_start)[None]
        scores, contributions = self.network(ids[None], pooling_mask=pooling_mask)
        return scores[0], contributions[0]


def export(out, name):
    """Write the network `words` or `caller`."""
    uses_context = name == "caller"
    unquantised = out / "model.f32.onnx"
    ids = torch.tensor([2, 50, 60, 70, 80, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SingleText(load_network(name, out)).eval(), (ids, torch.tensor(2)) if uses_context else (ids,),
            str(unquantised),
            # The names in the files that are shipped: `begins` is text_start, `parts` the contributions.
            input_names=["ids", "begins"] if uses_context else ["ids"], output_names=["scores", "parts"],
            dynamic_axes={"ids": {0: "n"}, "parts": {1: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    # Weights of 7 bits (reduce_range): with 8, processors without VNNI (AMD before Zen 4, Intel before 2019) need a
    # slower way to add exactly (detectors/sentence_model.py). Against unquantised weights the scores are off by 0.12
    # (root mean square) with 7 bits, by 0.10 with 8.
    quantize_dynamic(
        str(unquantised), str(FOLDER / ONNX_FILES[name]), weight_type=QuantType.QInt8, per_channel=True,
        reduce_range=True,
    )  # fmt: skip


if __name__ == "__main__":
    export(Path(sys.argv[1]), "caller" if sys.argv[2:] == ["caller"] else "words")
