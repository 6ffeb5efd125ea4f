"""Loads a network to go on from: the weights of an earlier training, or those shipped in detectors/meanings.

The shipped ones are 8-bit integers: a weight comes back within half a quantisation step of what it was.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from detectors.sentence_model import FOLDER
from tests.training.network import Network

ONNX_FILES = {"words": "model.onnx", "caller": "caller.onnx"}
"""Network -> the file it is shipped in."""


def weights_path(name, out):
    """Where the training of a network leaves its weights."""
    return out / f"{name}.pt"


def load_network(name, out=None):
    """The network `words` or `caller`: of the folder `out` if it is there, else as it is shipped."""
    if out is not None and weights_path(name, out).exists():
        weights = torch.load(weights_path(name, out), map_location="cpu")
    else:
        weights = _shipped_weights(FOLDER / ONNX_FILES[name])
    network = Network(len(weights["word.weight"]), len(weights["bias"]), len(weights["pos.weight"]))
    network.load_state_dict(weights)
    return network


def _shipped_weights(path):
    """The weights in an ONNX file of `tests.training.export`, by their names in Network."""
    graph = onnx.load(path).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    weights = {
        name.removeprefix("network."): value
        for name, value in stored.items()
        if name.startswith("network.") and value.dtype == np.float32 and not name.endswith("_scale")
    }
    weights["word.weight"] = _dequantised(stored, "network.word.weight")
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in stored:  # "/network/layers.0/q/MatMul_quant"
            layer = node.name.removeprefix("/network/").split("/MatMul")[0].replace("/", ".")
            weights[f"{layer}.weight"] = _dequantised(stored, node.input[1].removesuffix("_quantized")).T
    return {name: torch.tensor(value) for name, value in weights.items()}


def _dequantised(stored, name):
    scale, zero, value = (stored[f"{name}_{part}"].astype(np.float32) for part in ("scale", "zero_point", "quantized"))
    return (value - zero) * scale
