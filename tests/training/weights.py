"""The networks as they are: what is shipped in detectors/meanings, or what an earlier run of teaching has left.

What is shipped was stored in 8 bits: a weight comes back within half a step of what it was.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from detectors.sentence_model import FOLDER
from tests.training.network import Network

SHIPPED = {"taught": "model.onnx", "caller": "caller.onnx"}
"""Of the weights that teaching leaves: the file they are shipped in."""


def network(name, out=None):
    """`taught` or `caller`, of OUT if it is there, else as shipped."""
    path = None if out is None else out / f"{name}.pt"
    weights = torch.load(path) if path is not None and path.exists() else _weights(FOLDER / SHIPPED[name])
    made = Network(*weights["word.weight"].shape[:1], *weights["bias"].shape, places=len(weights["pos.weight"]))
    made.load_state_dict(weights)
    return made


def _weights(path):
    """What is in an ONNX file that `tests.training.export` has written, by the names of Network."""
    graph = onnx.load(path).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    told = {
        name.removeprefix("network."): value
        for name, value in stored.items()
        if name.startswith("network.") and value.dtype == np.float32 and not name.endswith("_scale")
    }
    told["word.weight"] = _whole(stored, "network.word.weight")
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in stored:  # "/network/layers.0/q/MatMul_quant"
            layer = node.name.removeprefix("/network/").split("/MatMul")[0].replace("/", ".")
            told[f"{layer}.weight"] = _whole(stored, node.input[1].removesuffix("_quantized")).T
    return {name: torch.tensor(value) for name, value in told.items()}


def _whole(stored, name):
    scale, zero, value = (stored[f"{name}_{part}"].astype(np.float32) for part in ("scale", "zero_point", "quantized"))
    return (value - zero) * scale
