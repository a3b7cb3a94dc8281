#!/usr/bin/env python3
"""Writes the small ONNX models that the tests use, into engine/model/testdata/.

Usage: python3 make_testdata.py [folder]     (needs onnx and numpy; the result is the same bytes each time)

Good models (their output is known exactly, so a test can compare pixels):
  luma-copy-x1.onnx   luma uint8 [1,1,H,W] -> luma_x1, the same pixels
  luma-copy-x2.onnx   luma uint8 [1,1,H,W] -> luma_x2 uint8 [1,1,2H,2W], every pixel repeated 2x2
  luma-bare-x2.onnx   as luma-copy-x2, without metadata
  luma-slow-x2.onnx   as luma-copy-x2, and slow: its convolutions count for nothing but must be run
  rgb-copy-x1.onnx    rgb float32 [1,3,H,W], values 0..1 -> rgb_x1, the same values
  rgb-copy-x2.onnx    rgb float32 [1,3,H,W] -> rgb_x2 float32 [1,3,2H,2W], every pixel repeated 2x2
Models that a loader must refuse:
  bad-two-inputs.onnx   two inputs
  bad-int64-input.onnx  luma is int64
  bad-scale.onnx        promises scale 2, gives 1.5 times the size
  truncated.onnx        the first half of luma-copy-x2.onnx
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8


def value(name, elem, channels, suffix=""):
    """A [1,channels,H,W] value; `suffix` keeps output dimension names apart from the input's."""
    return helper.make_tensor_value_info(name, elem, [1, channels, "height" + suffix, "width" + suffix])


def const(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def resize(source, target, scale):
    """Nearest-neighbour upscaling; returns the node and its scales initializer."""
    scales = const("scales", np.array([1, 1, scale, scale], np.float32))
    node = helper.make_node(
        "Resize", [source, "", "scales"], [target], mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return node, scales


def save(folder, file, nodes, inputs, outputs, initializers=(), **metadata):
    graph = helper.make_graph(nodes, file.removesuffix(".onnx"), inputs, outputs, list(initializers))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rave-testdata")
    if metadata:
        helper.set_model_props(model, {k: str(v) for k, v in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    (folder / file).write_bytes(data)
    return data


def copy_x1(folder, file, name, elem, channels):
    save(folder, file, [helper.make_node("Identity", [name], [name + "_x1"])],
         [value(name, elem, channels)], [value(name + "_x1", elem, channels, "_out")],
         name=file.removesuffix(".onnx"), scale=1, layout=name, align=1, license="CC0-1.0")


def copy_x2(folder, file, name, elem, channels, scale=2, bare=False):
    node, scales = resize(name, name + "_x2", scale)
    metadata = {} if bare else dict(
        name=file.removesuffix(".onnx"), scale=2, layout=name, align=1, license="CC0-1.0")
    return save(folder, file, [node], [value(name, elem, channels)],
                [value(name + "_x2", elem, channels, "_out")], [scales], **metadata)


def slow_x2(folder, layers=9, features=32):
    """luma-copy-x2 plus 0 times a chain of 3x3 convolutions. No optimiser may drop the chain: 0 times a value known
    only at run time may be NaN. One weight tensor serves all inner layers, so that the file stays small."""
    rng = np.random.default_rng(1)
    bound = (2.0 / (features * 9)) ** 0.5
    initializers = [
        const("w_in", rng.normal(0, 0.3, (features, 1, 3, 3)).astype(np.float32)),
        const("w", rng.normal(0, bound, (features, features, 3, 3)).astype(np.float32)),
        const("w_out", rng.normal(0, bound, (1, features, 3, 3)).astype(np.float32)),
        const("unit", np.array([1 / 255], np.float32)),
        const("zero", np.array([0], np.float32)),
    ]
    pads = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [helper.make_node("Cast", ["luma"], ["x"], to=T.FLOAT),
             helper.make_node("Mul", ["x", "unit"], ["x01"]),
             helper.make_node("Conv", ["x01", "w_in"], ["c0"], **pads),
             helper.make_node("Relu", ["c0"], ["f0"])]
    for i in range(layers):
        nodes += [helper.make_node("Conv", [f"f{i}", "w"], [f"c{i + 1}"], **pads),
                  helper.make_node("Relu", [f"c{i + 1}"], [f"f{i + 1}"])]
    upscale, scales = resize("same", "luma_x2", 2)
    nodes += [helper.make_node("Conv", [f"f{layers}", "w_out"], ["d"], **pads),
              helper.make_node("Mul", ["d", "zero"], ["nothing"]),
              helper.make_node("Add", ["x", "nothing"], ["sum"]),
              helper.make_node("Cast", ["sum"], ["same"], to=T.UINT8),
              upscale]
    save(folder, "luma-slow-x2.onnx", nodes, [value("luma", T.UINT8, 1)], [value("luma_x2", T.UINT8, 1, "_out")],
         initializers + [scales], name="luma-slow-x2", scale=2, layout="luma", align=1, license="CC0-1.0")


def two_inputs(folder):
    node, scales = resize("sum", "luma_x2", 2)
    nodes = [helper.make_node("Max", ["luma", "previous"], ["sum"]), node]
    save(folder, "bad-two-inputs.onnx", nodes, [value("luma", T.UINT8, 1), value("previous", T.UINT8, 1)],
         [value("luma_x2", T.UINT8, 1, "_out")], [scales],
         name="bad-two-inputs", scale=2, layout="luma", align=1, license="CC0-1.0")


def int64_input(folder):
    node, scales = resize("bytes", "luma_x2", 2)
    nodes = [helper.make_node("Cast", ["luma"], ["bytes"], to=T.UINT8), node]
    save(folder, "bad-int64-input.onnx", nodes, [value("luma", T.INT64, 1)],
         [value("luma_x2", T.UINT8, 1, "_out")], [scales],
         name="bad-int64-input", scale=2, layout="luma", align=1, license="CC0-1.0")


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "testdata"
    folder.mkdir(parents=True, exist_ok=True)
    copy_x1(folder, "luma-copy-x1.onnx", "luma", T.UINT8, 1)
    copied = copy_x2(folder, "luma-copy-x2.onnx", "luma", T.UINT8, 1)
    copy_x2(folder, "luma-bare-x2.onnx", "luma", T.UINT8, 1, bare=True)
    copy_x1(folder, "rgb-copy-x1.onnx", "rgb", T.FLOAT, 3)
    copy_x2(folder, "rgb-copy-x2.onnx", "rgb", T.FLOAT, 3)
    slow_x2(folder)
    two_inputs(folder)
    int64_input(folder)
    copy_x2(folder, "bad-scale.onnx", "luma", T.UINT8, 1, scale=1.5)
    (folder / "truncated.onnx").write_bytes(copied[:len(copied) // 2])


if __name__ == "__main__":
    main()
