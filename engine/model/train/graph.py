"""ONNX graphs of the family: float32 for CPUs, the same with half-size weights for GPUs, int8 (QDQ)."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from network import LEVELS


class Graph:
    """Nodes and constants of one model: luma uint8 [1,1,H,W] -> luma_x2 uint8 [1,1,sH,sW]."""

    def __init__(self, shape, on_gpu=False):
        self.shape, self.on_gpu = shape, on_gpu
        self.nodes, self.constants = [], []

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def const(self, name, array):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name, array):
        """A float32 constant; the large ones of a GPU's model are stored in half the size."""
        if not (self.on_gpu and array.size > 20_000):
            return self.const(name, array.astype(np.float32))
        return self.node("Cast", [self.const(name + "_half", array.astype(np.float16))], name, to=TensorProto.FLOAT)

    def padded(self, x, name, n):
        if n == 0:
            return x
        return self.node("Pad", [x, self.const(name + "_pads", np.array([0, 0, n, n, 0, 0, n, n], np.int64))], name, mode="edge")

    def conv(self, x, name, w, b, **attributes):
        return self.node("Conv", [x, self.weight(name + "_w", w), self.weight(name + "_b", b)], name,
                         kernel_shape=w.shape[2:], **attributes)

    def base(self, kernel):
        """The linear part plus one half, which turns the last cast's truncation into rounding."""
        s, u = self.shape, self.shape.unshuffle
        x = self.padded("luma_float" if self.on_gpu else "luma", "near", s.base_pad)
        if not self.on_gpu:
            x = self.node("Cast", [x], "near_float", to=TensorProto.FLOAT)
        return self.conv(x, "base", kernel, np.full(s.outputs, 0.5), strides=[u, u])

    def finish(self, residual, base, metadata):
        """Sum, clip, cast, depth to space. CPUs shuffle bytes; TensorRT wants the cast last."""
        s = self.shape
        x = self.node("Add", [residual, base], "sum")
        out = f"luma_x{s.scale}"
        if self.on_gpu and s.block > 1:
            x = self.node("DepthToSpace", [x], "picture", blocksize=s.block, mode="DCR")
        x = self.node("Clip", [x, self.const("black", np.float32(0)), self.const("white", np.float32(255))], "clipped")
        x = self.node("Cast", [x], out if self.on_gpu else "blocks", to=TensorProto.UINT8)
        if not self.on_gpu:
            self.node("DepthToSpace", [x], out, blocksize=s.block, mode="DCR")

        def value(name, suffix):
            return helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 1, "height" + suffix, "width" + suffix])
        graph = helper.make_graph(self.nodes, metadata["name"], [value("luma", "")], [value(out, "_out")], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="rave")
        helper.set_model_props(model, {k: str(v) for k, v in metadata.items()})
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def float_model(shape, arrays, metadata, on_gpu):
    """A model in float32. One for GPUs has its large weights stored in float16 and its casts where TensorRT takes them."""
    u, n = shape.unshuffle, shape.layers + 1
    g = Graph(shape, on_gpu)
    a = {k: v.astype(np.float64) for k, v in arrays.items()}
    if on_gpu:  # what the file will hold decides what a flat area gives
        a = {k: v.astype(np.float16).astype(np.float64) if k[0] == "w" and v.size > 20_000 else v for k, v in a.items()}
    a["w0"] = a["w0"] - a["w0"].mean((1, 2, 3), keepdims=True)
    a[f"b{n}"] = a[f"b{n}"] - flat_residual(shape, a)
    a["w0"] = a["w0"] / 255
    a[f"w{n}"], a[f"b{n}"] = a[f"w{n}"] * 255, a[f"b{n}"] * 255
    if on_gpu:
        x = g.padded(g.node("Cast", ["luma"], "luma_float", to=TensorProto.FLOAT), "seen", u * shape.margin)
    else:
        x = g.node("Cast", [g.padded("luma", "seen", u * shape.margin)], "seen_float", to=TensorProto.FLOAT)
    for i in range(n):
        x = g.node("Relu", [g.conv(x, f"conv{i}", a[f"w{i}"], a[f"b{i}"], strides=[u, u] if i == 0 else [1, 1])], f"relu{i}")
    x = g.conv(x, "residual", a[f"w{n}"], a[f"b{n}"])
    return g.finish(x, g.base(a["base"]), metadata)


def flat_residual(shape, a):
    """What the last layer of a float network gives on a flat area: [outputs]."""
    x = np.maximum(a["b0"], 0)
    for i in range(1, shape.layers + 2):
        x = a[f"w{i}"].sum((2, 3)) @ x + a[f"b{i}"]
        if i <= shape.layers:
            x = np.maximum(x, 0)
    return x


def integers(w):
    """[O,...] -> int8 weights and their scales [O]."""
    scale = np.maximum(np.abs(w).max((1, 2, 3)), 1e-8) / LEVELS
    return np.rint(w / scale[:, None, None, None]).astype(int), scale


def zero_sum(q, w, scale):
    """Moves the integers that rounding moved most, until each filter sums to zero: flat areas stay flat in int8 too."""
    for o in range(len(q)):
        while (total := q[o].sum()) != 0:
            step = -int(np.sign(total))
            gain = (w[o] / scale[o] - q[o]) * step
            gain[np.abs(q[o] + step) > LEVELS] = -9
            q[o][np.unravel_index(gain.argmax(), gain.shape)] += step
    return q


def int8_model(shape, arrays, metadata):
    """A model in int8 QDQ: every convolution but the base; activations uint8, weights int8 per channel (7 bits)."""
    u, n = shape.unshuffle, shape.layers + 1
    a = {k: v.astype(np.float64) for k, v in arrays.items()}
    g = Graph(shape)
    scales = a["activations"]
    ints, wscales, biases = [], [], []
    before = 1 / 255
    for i in range(n + 1):
        q, s = integers(a[f"w{i}"])
        if i == 0:
            q = zero_sum(q, a["w0"], s)
        ints.append(q)
        wscales.append(s)
        biases.append(np.rint(a[f"b{i}"] / (before * s)))
        before = scales[i]
    # A flat area, in integers: what the last layer gives, taken off its bias.
    x = np.zeros(1)
    before = 1 / 255
    for i in range(n + 1):
        total = (ints[i].sum((2, 3)) @ x if i else 0) + biases[i]
        y = total * before * wscales[i]
        x = np.clip(np.rint(y / scales[i]), 0, 255)
        if i < n:
            before = scales[i]
    biases[n] = biases[n] - np.rint(total)

    x = g.node("DequantizeLinear", [g.padded("luma", "seen", u * shape.margin), g.const("seen_scale", np.float32(1 / 255)),
                                    g.const("seen_zero", np.uint8(0))], "seen_float")
    before = 1 / 255
    for i in range(n + 1):
        last = i == n
        k = 255 if last else 1  # the last layer gives levels, not fractions
        ws = (wscales[i] * k).astype(np.float32)
        w = g.node("DequantizeLinear", [g.const(f"w{i}_int", ints[i].astype(np.int8)), g.const(f"w{i}_scale", ws),
                                        g.const(f"w{i}_zero", np.zeros(len(ws), np.int8))], f"w{i}", axis=0)
        b = g.node("DequantizeLinear", [g.const(f"b{i}_int", biases[i].astype(np.int32)),
                                        g.const(f"b{i}_scale", (ws * before).astype(np.float32)),
                                        g.const(f"b{i}_zero", np.zeros(len(ws), np.int32))], f"b{i}", axis=0)
        x = g.node("Conv", [x, w, b], f"conv{i}", kernel_shape=ints[i].shape[2:], strides=[u, u] if i == 0 else [1, 1])
        if not last:
            x = g.node("Relu", [x], f"relu{i}")
        scale, zero = np.float32(scales[i] * k), np.uint8(128 if last else 0)
        steps = [g.const(f"a{i}_scale", scale), g.const(f"a{i}_zero", zero)]
        x = g.node("DequantizeLinear", [g.node("QuantizeLinear", [x, *steps], f"a{i}_int"), *steps], f"a{i}")
        before = scales[i]
    return g.finish(x, g.base(a["base"]), metadata)
