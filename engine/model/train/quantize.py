"""Quantisation-aware training: what int8 inference does to a network, with gradients passed straight through.

Activations are uint8 with zero at 0 (the last layer's: zero at 128), one fixed scale a layer, from the largest values that the float
network gave on training data. Weights are int8 per output channel and use 7 bits (-63..63): x86 without VNNI adds pairs of products in
16 bits, which 8-bit weights overflow (on such a processor 32x4 lost 5 dB with them; 7 bits cost 0.02 dB).
"""
import torch

from network import LEVELS


def through(x, rounded):
    """`rounded` in the forward pass, the gradient of x in the backward pass."""
    return x + (rounded - x).detach()


class Fake:
    """Stands in for int8 in a network.Net. First observe() batches with `observing` set, then train."""

    def __init__(self, layers, device):
        self.scales = [torch.zeros((), device=device) for _ in range(layers)]
        self.observing = True

    def narrow(self, factor):
        """Finer steps for all activations but the last: what is clipped then, training moves."""
        for s in self.scales[:-1]:
            s.mul_(factor)

    def weight(self, w):
        if self.observing:
            return w
        scale = w.detach().abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-8) / LEVELS
        return through(w, (w / scale).round() * scale)

    def activation(self, n, y):
        last = n == len(self.scales) - 1
        if self.observing:
            top = y.abs().flatten()[::7].float().sort()[0]
            self.scales[n].copy_(torch.maximum(self.scales[n], top[int(len(top) * 0.9998)] / (127 if last else 255)))
            return y
        low, high = (-128, 127) if last else (0, 255)
        s = self.scales[n]
        clipped = y.clamp(low * s, high * s)
        return through(clipped, (clipped / s).round() * s)
