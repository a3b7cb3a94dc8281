"""The family: luma at scale 1, 2 or 4, computed at a fraction of the input's resolution. Shapes and the PyTorch module.

    luma --+-- 3u x 3u conv stride u -> F, ReLU -- L inner 3x3 layers, ReLU -- 3x3 conv -> (u s)^2 --+
           +-- linear base: 6x6 conv stride 2 (for u = 2) -> (u s)^2; at scale 1 the input itself -----+--> +, depth-to-space u s

u is the unshuffle factor (2: half resolution), s the scale, F features, L inner layers. The first filters sum to zero, so flat areas give
the same features at every level; the base's filters sum to one; the last bias is corrected at export: flat stays flat, exactly.

Training sees more parameters than the file has: every 3x3 is a product of an expanded 3x3 and a 1x1 (folded before each use, so it costs
nothing), and inner layers add their input, which the folded kernel carries as a centre tap.
"""
import dataclasses
import re

import numpy as np

LEVELS = 63  # int8 weights are -63..63: 7 bits (see quantize.py)


@dataclasses.dataclass(frozen=True)
class Shape:
    features: int = 24
    layers: int = 3
    unshuffle: int = 2
    scale: int = 2

    @classmethod
    def parse(cls, text):
        """'24x3', '128x8@4' (unshuffle 4), '128x4@1*4' (scale 4)."""
        m = re.fullmatch(r"(\d+)x(\d+)(?:@(\d))?(?:\*(\d))?", text)
        if not m:
            raise ValueError(f"{text} is no shape: FEATURESxLAYERS[@UNSHUFFLE][*SCALE]")
        return cls(int(m[1]), int(m[2]), int(m[3] or 2), int(m[4] or 2))

    def __str__(self):
        return (f"{self.features}x{self.layers}" + (f"@{self.unshuffle}" if self.unshuffle != 2 else "")
                + (f"*{self.scale}" if self.scale != 2 else ""))

    @property
    def block(self):
        return self.unshuffle * self.scale

    @property
    def outputs(self):
        return self.block ** 2

    @property
    def margin(self):
        """Positions (of unshuffle x unshuffle pixels) that the layers eat on each side."""
        return self.layers + 2

    @property
    def base_pad(self):
        return max(2, self.unshuffle) if self.scale > 1 else 0

    def macs(self):
        """Multiply-accumulates per input pixel, the base included."""
        f, u2 = self.features, self.unshuffle ** 2
        base = (self.unshuffle + 2 * self.base_pad) ** 2 * self.outputs if self.scale > 1 else 0
        return (9 * u2 * f + self.layers * 9 * f * f + 9 * f * self.outputs + base) / u2


def base_kernel(shape, a=-0.5):
    """[outputs,1,k,k]: bicubic (a=-0.5, centre-aligned) for the block of output pixels over u x u input pixels; scale 1: the pixel itself."""
    u, s, pad = shape.unshuffle, shape.scale, shape.base_pad

    def tap(x):
        x = abs(x)
        if x < 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0
    rows = np.array([[tap((o + 0.5) / s - 0.5 - i) for i in range(-pad, u + pad)] for o in range(u * s)])
    k = u + 2 * pad
    return np.einsum("yi,xj->yxij", rows, rows).reshape(shape.outputs, 1, k, k).astype(np.float32)


def torch_module(shape, expand=2, half=False):
    """The module: float [B,1,H,W] in 0..1 -> [B,outputs,...], residual and base added, cut by margin. half: inner layers in bfloat16."""
    import torch
    from torch import nn

    class Folded(nn.Module):
        """A 3x3 convolution trained as an expanded 3x3 times a 1x1, plus a centre tap where it has as many inputs as outputs."""

        def __init__(self, i, o, gain, zero_mean=False, residual=False):
            super().__init__()
            p = expand * max(i, o) if expand else 0
            std = gain * (2 / (9 * i)) ** 0.5
            self.wide = nn.Parameter(torch.randn(p or o, i, 3, 3) * std)
            self.narrow = nn.Parameter(torch.randn(o, p) / p**0.5) if p else None
            self.bias = nn.Parameter(torch.zeros(o))
            self.zero_mean, self.residual = zero_mean, residual
            if residual:
                self.register_buffer("centre", nn.init.dirac_(torch.zeros(o, i, 3, 3)))

        def weight(self):
            w = self.wide if self.narrow is None else torch.einsum("op,pikl->oikl", self.narrow, self.wide)
            if self.zero_mean:
                w = w - w.mean((1, 2, 3), keepdim=True)
            return w + self.centre if self.residual else w

        @torch.no_grad()
        def begin_with(self, kernel, bias):
            """The folded kernel becomes `kernel`; the extra parameters have no effect yet."""
            kernel = torch.from_numpy(kernel).to(self.wide.device)
            if self.residual:
                kernel = kernel - self.centre
            o = len(kernel)
            self.wide[:o].copy_(kernel)
            if self.narrow is not None:
                self.narrow.zero_()
                self.narrow.fill_diagonal_(1)
            self.bias.copy_(torch.from_numpy(bias))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            f = shape.features
            self.first = Folded(shape.unshuffle ** 2, f, 1.0, zero_mean=True)
            self.inner = nn.ModuleList(Folded(f, f, 0.5, residual=True) for _ in range(shape.layers))
            self.last = Folded(f, shape.outputs, 0.05)
            self.register_buffer("start", torch.from_numpy(base_kernel(shape)))
            self.base_change = nn.Parameter(torch.zeros_like(self.start)) if shape.scale > 1 else None
            self.quantise = None  # a quantize.Fake, during quantisation-aware training
            self.leak = None      # a tensor: how much of what is below zero passes a ReLU, early in training

        def base(self):
            if self.base_change is None:
                return self.start
            return self.start + self.base_change - self.base_change.mean((2, 3), keepdim=True)

        def forward(self, x):
            u = shape.unshuffle
            with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):  # errors here would be the picture's
                base = nn.functional.conv2d(x, self.base(), stride=u)
            y = nn.functional.pixel_unshuffle(x * 255, u)  # whole numbers: exact in bfloat16 and TF32
            if half:
                y = y.to(torch.bfloat16)
            layers = [self.first, *self.inner, self.last]
            for n, layer in enumerate(layers):
                w, b = layer.weight(), layer.bias
                if self.quantise and n > 0:  # the first layer's integers are chosen at export, so that flat areas stay flat
                    w = self.quantise.weight(w)
                last = n == len(layers) - 1
                if n == 0:
                    w = w / 255
                if half and last:
                    y = y.float()
                elif half:
                    w, b = w.to(torch.bfloat16), b.to(torch.bfloat16)
                y = nn.functional.conv2d(y, w.contiguous(memory_format=torch.channels_last), b)
                if not last:
                    y = torch.relu(y) if self.leak is None else torch.maximum(y, y * self.leak.to(y.dtype))
                if self.quantise:
                    y = self.quantise.activation(n, y)
            return y + self.middle(base, y.shape[2])

        @torch.no_grad()
        def begin_with(self, arrays, layers):
            """Takes over the weights of a trained network of the same width (arrays_of's), of as many layers or fewer."""
            f, u = shape.features, shape.unshuffle
            first = arrays["w0"].reshape(f, 3, u, 3, u).transpose(0, 2, 4, 1, 3).reshape(f, u * u, 3, 3)
            self.first.begin_with(first, arrays["b0"])
            for n, layer in enumerate(self.inner, 1):
                if n <= layers:
                    layer.begin_with(arrays[f"w{n}"], arrays[f"b{n}"])
                else:  # a new layer lets everything pass
                    layer.begin_with(np.zeros((f, f, 3, 3), np.float32) + layer.centre.cpu().numpy(), np.zeros(f, np.float32))
            self.last.begin_with(arrays[f"w{layers + 1}"], arrays[f"b{layers + 1}"])
            if self.base_change is not None:
                self.base_change.copy_(torch.from_numpy(arrays["base"]).to(self.start.device) - self.start)

        @staticmethod
        def middle(x, side):
            e = (x.shape[2] - side) // 2
            return x[:, :, e:x.shape[2] - e, e:x.shape[3] - e]

    return Net()


def arrays_of(module):
    """The trained module as numpy arrays: w0,b0 ... in order, the first as one 3u x 3u filter over luma, and the base."""
    def plain(t):
        return t.detach().float().cpu().numpy()
    layers = [module.first, *module.inner, module.last]
    out = {}
    for n, layer in enumerate(layers):
        out[f"w{n}"], out[f"b{n}"] = plain(layer.weight()), plain(layer.bias)
    w = out["w0"]
    f, u = w.shape[0], int(w.shape[1] ** 0.5)  # channel u*py+px, tap (ky,kx) -> pixel (u*ky+py, u*kx+px)
    out["w0"] = w.reshape(f, u, u, 3, 3).transpose(0, 3, 1, 4, 2).reshape(f, 1, 3 * u, 3 * u)
    out["base"] = plain(module.base())
    return out
