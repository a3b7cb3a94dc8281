#!/usr/bin/env python3
"""Times models on this CPU beside a calibration graph, run by run in turn, so that the ratio survives a noisy machine.

Usage: python3 bench.py [-n ROUNDS] [-s WIDTHxHEIGHT] [MODEL.onnx | SHAPE ...]

Two threads, no spinning, as the server runs. SHAPE is 32x2, 32x2*1 (scale 1), 48x2-int8 …: that network with random weights.
The calibration graph: luma float32, 16 features, 2 inner 3x3 layers at full resolution, depth-to-space.
"""
import argparse
import json
import os
import time

import numpy as np

import graph
import network

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is loaded


def calibration():
    from onnx import TensorProto, helper, numpy_helper
    rng = np.random.default_rng(0)
    sizes = [(16, 1), (16, 16), (16, 16), (4, 16)]
    constants = [numpy_helper.from_array(rng.normal(0, 0.1, s + (3, 3)).astype(np.float32), f"w{i}")
                 for i, s in enumerate(sizes)]
    nodes, x = [], "luma"
    for i in range(4):
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], kernel_shape=[3, 3], pads=[1] * 4))
        x = f"c{i}"
        if i < 3:
            nodes.append(helper.make_node("Relu", [x], [f"r{i}"]))
            x = f"r{i}"
    nodes.append(helper.make_node("DepthToSpace", [x], ["luma_x2"], blocksize=2))
    def value(name, s):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "h" + s, "w" + s])
    graph = helper.make_graph(nodes, "calibration", [value("luma", "")], [value("luma_x2", "_out")], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def random_network(name):
    """The model of a shape's name (network.Shape.parse), with int8 behind it for the quantised one, with random weights."""
    shape = network.Shape.parse(name.removesuffix("-int8"))
    rng = np.random.default_rng(0)
    f, u = shape.features, shape.unshuffle
    sizes = [(f, 1, 3 * u, 3 * u)] + [(f, f, 3, 3)] * shape.layers + [(shape.outputs, f, 3, 3)]
    arrays = {f"w{i}": rng.normal(0, np.prod(s[1:]) ** -0.5, s) for i, s in enumerate(sizes)}
    arrays |= {f"b{i}": np.zeros(s[0]) for i, s in enumerate(sizes)} | {"base": network.base_kernel(shape)}
    metadata = {"name": name, "scale": shape.scale}
    if name.endswith("-int8"):
        return graph.int8_model(shape, arrays | {"activations": np.full(len(sizes), 0.01)}, metadata)
    return graph.float_model(shape, arrays, metadata, on_gpu=False)


def session(model, threads=2):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("-n", type=int, default=60)
    args.add_argument("-s", default="640x360")
    args.add_argument("--json", help="write the figures here too")
    args.add_argument("models", nargs="*")
    args = args.parse_args()
    width, height = map(int, args.s.split("x"))
    luma = np.random.default_rng(1).integers(0, 256, (1, 1, height, width)).astype(np.uint8)
    sessions = {"calibration": session(calibration())}
    for m in args.models:
        sessions[m.split("/")[-1]] = session(m if m.endswith(".onnx") else random_network(m))
    times = {k: [] for k in sessions}
    for i in range(args.n + 3):
        for k, s in sessions.items():
            feed = {s.get_inputs()[0].name: luma if s.get_inputs()[0].type == "tensor(uint8)" else luma.astype(np.float32)}
            begin = time.perf_counter()
            s.run(None, feed)
            if i >= 3:
                times[k].append((time.perf_counter() - begin) * 1e3)
    base = np.array(times["calibration"])
    print(f"{width}x{height}, 2 threads, ms:  fastest tenth  median  x calibration (median of the ratios in turn)")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({k: [float(np.percentile(t, 10)), float(np.median(np.array(t) / base))] for k, t in times.items()}, f)
    for k, t in times.items():
        t = np.array(t)
        print(f"{k:28s} {np.percentile(t, 10):8.2f} {np.median(t):8.2f} {np.median(t / base):6.2f}")


if __name__ == "__main__":
    main()
