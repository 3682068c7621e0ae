"""A network as ONNX: one file, for ONNX Runtime, TensorRT, OpenVINO and the like.

The graph is that of torch.export; what only arranges a tensor in memory is taken out first, since
an ONNX tensor has no arrangement.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from delineate.errors import ConfigError, require
from delineate.export.description import describe, write_description
from delineate.export.difference import Difference, measure, refuse_far
from delineate.export.program import quietly, trace
from delineate.export.scores import refuse_suffix, scores_of
from delineate.export.windows import Sample
from delineate.inference.model import Model
from delineate.io import atomic_path

__all__ = ["export_onnx"]

LARGEST = 2_000_000_000
"""Bytes that one ONNX file can hold."""


def export_onnx(model: Model, out: Path, *, sample: Sample) -> Difference:
    """Write the network as .onnx and its description as .json; the difference from eager.

    The batch may have any size, the window is the plan's. ONNX Runtime computes the comparison. An
    export that differs beyond the tolerance is an ExportDiffers, and nothing is written.
    """
    onnx = require("onnx", extra="onnx")
    require("onnxscript", extra="onnx")
    require("onnxruntime", extra="onnx")
    refuse_suffix(out, ".onnx")
    scores = scores_of(model)
    _refuse_large(out, scores.network)
    program = trace(scores, model.plan)
    _drop_layout(program)
    proto = _translate(program)
    _tidy(proto)
    with atomic_path(out) as part:
        onnx.checker.check_model(proto, full_check=True)
        onnx.save_model(proto, str(part))
        difference = measure(scores, _session(part), sample.batches, sample.source)
        refuse_far(difference, str(out))
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    description = describe(model, scores, difference) | {"opset": opset}
    write_description(out, description)
    return difference


def _refuse_large(out: Path, network: torch.nn.Module) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST:
        raise ConfigError(
            f"{out}: the weights have {size / 1e9:.1f} GB, but one ONNX file holds 2 GB. "
            "Fix: export one fold, or --to torch."
        )


def _translate(program: ExportedProgram) -> Any:
    with torch.no_grad(), quietly():
        made = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=["image"],
            output_names=["scores"],
            verbose=False,
        )
    assert made is not None, "the exporter returns a program where no file is named"
    return made.model_proto


def _drop_layout(program: ExportedProgram) -> None:
    """Take out what changes the place of values in memory, but no value; a copy may be needed."""
    for node in _nodes(program):
        if node.target is torch.ops.aten.contiguous.default or _renames_strides(node):
            source = node.args[0]
            assert isinstance(source, Node), "the first argument is the tensor"
            node.replace_all_uses_with(source)
    for graph_module in _graph_modules(program):
        graph_module.graph.eliminate_dead_code()
        graph_module.recompile()


def _renames_strides(node: Node) -> bool:
    """Whether it is an as_strided that changes nothing but the stride of axes of length 1."""
    if node.target is not torch.ops.aten.as_strided.default:
        return False
    source = node.args[0]
    assert isinstance(source, Node), "the first argument is the tensor"
    before, after = source.meta["val"], node.meta["val"]
    if tuple(before.shape) != tuple(after.shape):
        return False
    strides = zip(before.shape, before.stride(), after.stride(), strict=True)
    return all(a == b or n == 1 for n, a, b in strides)


def _nodes(program: ExportedProgram) -> Iterator[Node]:
    for module in _graph_modules(program):
        yield from list(module.graph.nodes)


def _graph_modules(program: ExportedProgram) -> list[torch.fx.GraphModule]:
    modules = program.graph_module.modules()
    return [module for module in modules if isinstance(module, torch.fx.GraphModule)]


def _tidy(proto: Any) -> None:
    """Call the first axis 'batch'; drop notes on where in which source file a node comes from."""
    symbols = {value.type.tensor_type.shape.dim[0].dim_param for value in proto.graph.input}
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param and size.dim_param in symbols:
                size.dim_param = "batch"
    for thing in (proto, proto.graph, *proto.graph.node, *proto.functions):
        del thing.metadata_props[:]
        thing.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]


def _session(path: Path) -> Callable[[Tensor], Tensor]:
    runtime = require("onnxruntime", extra="onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(batch: Tensor) -> Tensor:
        (scores,) = session.run(["scores"], {"image": batch.numpy()})
        return torch.from_numpy(scores)

    return run
