"""The live-x2 family: luma x2, computed at half the input's resolution. The PyTorch module and its ONNX graph.

    luma u8 --+-- pad, 6x6 conv stride 2 -> F, ReLU -- L inner layers, ReLU -- 3x3 conv -> 16 --+
              +-- pad, 6x6 conv stride 2 -> 16: bicubic x2, fixed ------------------------------+--> +, clip, u8,
                                                                                                    depth-to-space 4
A 6x6 convolution with stride 2 is a space-to-depth of 2 and a 3x3 convolution in one. Its filters sum to zero, so flat
areas give the same features at every level, and the last bias is set so that these give a residual of zero: flat stays
flat exactly. Nothing is padded but the input, by repeating its edge pixels.
"""
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Shape:
    features: int = 32
    layers: int = 2
    separable: bool = False      # inner layers: 3x3 per channel, then 1x1
    separable_out: bool = False  # the same for the last layer

    @property
    def margin(self):
        """Half-resolution pixels that the layers after the first eat on each side."""
        return self.layers + 1

    def macs(self):
        """Multiply-accumulates per input pixel."""
        f, out = self.features, 16
        inner = (9 * f + f * f) if self.separable else 9 * f * f
        last = (9 * f + f * out) if self.separable_out else 9 * f * out
        return (36 * (f + out) + self.layers * inner + last) / 4


def bicubic_kernel(a=-0.5):
    """[16,1,6,6]: the 4x4 output pixels over a 2x2 input block, from the 6x6 pixels around it (centre-aligned x2)."""
    def tap(x):
        x = abs(x)
        if x < 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0
    rows = np.array([[tap((o + 0.5) / 2 - 0.5 - i) for i in range(-2, 4)] for o in range(4)])
    return np.einsum("yi,xj->yxij", rows, rows).reshape(16, 1, 6, 6).astype(np.float32)


def torch_module(shape):
    import torch
    from torch import nn

    class LiveX2(nn.Module):
        """float [B,1,H,W], 0..1 -> residual [B,16,H/2-2-2*margin,...] over bicubic, for the middle of the input."""

        def __init__(self):
            super().__init__()
            f = shape.features
            self.first = nn.Conv2d(4, f, 3)  # on the space-to-depth of 2
            self.inner = nn.ModuleList(self._layer(f, f, shape.separable) for _ in range(shape.layers))
            self.last = self._layer(f, 16, shape.separable_out)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    gain = 1 if m.groups > 1 else 2
                    nn.init.normal_(m.weight, 0, (gain / (m.weight[0].numel())) ** 0.5)
                    nn.init.zeros_(m.bias)
            nn.init.normal_(self.last[-1].weight, 0, 1e-3)

        @staticmethod
        def _layer(i, o, separable):
            if separable:
                return nn.Sequential(nn.Conv2d(i, i, 3, groups=i), nn.Conv2d(i, o, 1))
            return nn.Sequential(nn.Conv2d(i, o, 3))

        def forward(self, x):
            x = nn.functional.pixel_unshuffle(x, 2)
            w = self.first.weight
            x = torch.relu(nn.functional.conv2d(x, w - w.mean((1, 2, 3), keepdim=True), self.first.bias))
            for layer in self.inner:
                x = torch.relu(layer(x))
            return self.last(x)

    return LiveX2()


def weights_of(module):
    """The module's convolutions as numpy arrays, in order: [(weight, bias), ...]; the first one as 6x6 stride 2."""
    def pair(conv):
        return conv.weight.detach().float().cpu().numpy(), conv.bias.detach().float().cpu().numpy()
    w, b = pair(module.first)
    w = w - w.mean((1, 2, 3), keepdims=True)
    f = w.shape[0]  # channel 2*py+px of the unshuffled input, tap (ky,kx) -> pixel (2*ky+py, 2*kx+px)
    w = w.reshape(f, 2, 2, 3, 3).transpose(0, 3, 1, 4, 2).reshape(f, 1, 6, 6)
    return [(w, b)] + [pair(c) for layer in [*module.inner, module.last] for c in layer]


def flat_residual(shape, weights):
    """What the last layer gives on a flat area: [16]."""
    x = np.maximum(weights[0][1].astype(np.float64), 0)
    convs = iter(weights[1:])
    for i in range(shape.layers + 1):
        last = i == shape.layers
        for _ in range(2 if (shape.separable_out if last else shape.separable) else 1):
            w, b = next(convs)
            total = w.astype(np.float64).sum((2, 3))
            x = (total[:, 0] * x if w.shape[1] == 1 and w.shape[0] == len(x) else total @ x) + b
        if not last:
            x = np.maximum(x, 0)
    return x


def onnx_model(shape, weights, **metadata):
    """The ONNX model: luma uint8 [1,1,H,W], H and W even -> luma_x2 uint8 [1,1,2H,2W]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def const(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def padded(name, n):
        pads = const(name + "_pads", np.array([0, 0, n, n, 0, 0, n, n], np.int64))
        nodes.append(helper.make_node("Pad", ["luma", pads], [name + "_u8"], mode="edge"))
        nodes.append(helper.make_node("Cast", [name + "_u8"], [name], to=TensorProto.FLOAT))
        return name

    def conv(x, name, w, b, relu=False, **attributes):
        inputs = [x, const(name + "_w", w.astype(np.float32)), const(name + "_b", b.astype(np.float32))]
        y = name + "_conv" if relu else name
        nodes.append(helper.make_node("Conv", inputs, [y], kernel_shape=w.shape[2:], **attributes))
        if relu:
            nodes.append(helper.make_node("Relu", [y], [name]))
        return name

    weights = [(w.astype(np.float64), b.astype(np.float64)) for w, b in weights]
    w, b = weights[-1]
    weights[-1] = ((w * 255), (b - flat_residual(shape, weights)) * 255)
    weights[0] = (weights[0][0] / 255, weights[0][1])
    convs = iter(weights)

    x = conv(padded("seen", 2 + 2 * shape.margin), "first", *next(convs), relu=True, strides=[2, 2])
    for i in range(shape.layers):
        if shape.separable:
            x = conv(x, f"inner{i}_each", *next(convs), group=shape.features)
        x = conv(x, f"inner{i}", *next(convs), relu=True)
    if shape.separable_out:
        x = conv(x, "residual_each", *next(convs), group=shape.features)
    x = conv(x, "residual", *next(convs))
    # The half that turns the cast's truncation into rounding rides on the base's bias.
    base = conv(padded("near", 2), "base", bicubic_kernel(), np.full(16, 0.5), strides=[2, 2])
    nodes.extend([
        helper.make_node("Add", [x, base], ["sum"]),
        helper.make_node("Clip", ["sum", const("black", np.float32(0)), const("white", np.float32(255))], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["blocks"], to=TensorProto.UINT8),
        helper.make_node("DepthToSpace", ["blocks"], ["luma_x2"], blocksize=4, mode="DCR"),
    ])

    def value(name, suffix):
        return helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 1, "height" + suffix, "width" + suffix])
    graph = helper.make_graph(nodes, "live-x2", [value("luma", "")], [value("luma_x2", "_out")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="rave")
    helper.set_model_props(model, {k: str(v) for k, v in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
