#!/usr/bin/env python3
"""Makes int8 twins of trained networks: each learns to give what its float network gives, with int8's rounding in the way.

Usage: python3 quantize.py PHOTOS.zip FOLDER STEPS NAME ...      (FOLDER/NAME.npz -> FOLDER/NAME-int8.npz; STEPS 0: only rounded)

The networks of one call have the same scale.

Activations are uint8 with zero at 0 (the last layer's: zero at 128), one fixed scale a layer, from the largest values that the float
network gives on training data. Weights are int8 per output channel and use 7 bits (-63..63): x86 without VNNI adds pairs of products in
16 bits, which 8-bit weights overflow (on such a processor 32x4 lost 5 dB with them; 7 bits cost 0.02 dB). The first layer's integers are
chosen before, so that they sum to zero and flat areas stay flat.
"""
import pathlib
import sys
import time

import numpy as np
import torch

import degrade
import graph
import network
import train
from network import LEVELS

CLEAN = {1: 0.2, 2: 0.7}    # share of clean pairs
# Fewer clips than training sees, since the goal is a network, not a picture; without a GPU far fewer, and every 8th picture.
LARGE = dict(crop=96, batch=40), 24, 1
SMALL = dict(crop=64, batch=10), 8, 8
RATE, EPSILON, STILL = 2e-4, 1e-3, 1.0


def through(x, rounded):
    """`rounded` in the forward pass, the gradient of x in the backward pass."""
    return x + (rounded - x).detach()


class Fake:
    """Stands in for int8 in a network.Net. First observe() batches with `observing` set, then train."""

    def __init__(self, layers, device):
        self.scales = [torch.zeros((), device=device) for _ in range(layers)]
        self.observing = True

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


class Twin:
    """A float network and the int8 network that learns from it."""

    def __init__(self, folder, name, device):
        self.name = name
        data = dict(np.load(folder / f"{name}.npz"))
        self.kept = {k: data[k] for k in ("recipe", "steps")}
        self.shape = network.Shape.parse(str(data["shape"]))
        last = f"b{self.shape.layers + 1}"
        flat = graph.flat_residual(self.shape, {k: v.astype(np.float64) for k, v in data.items() if k[0] in "wb"})
        data[last] = (data[last] - flat).astype(np.float32)
        whole = {**data, "w0": first_integers(data["w0"])}
        self.teacher, self.net = (network.torch_module(self.shape, 0).to(device) for _ in range(2))
        self.teacher.begin_with(data, self.shape.layers)
        self.net.begin_with(whole, self.shape.layers)
        self.net.first.wide.requires_grad_(False)
        self.params = [p for p in self.net.parameters() if p.requires_grad]
        self.opt = torch.optim.Adam(self.params, lr=RATE, betas=(0.9, 0.99))

    @torch.no_grad()
    def observe(self, inputs):
        self.net.quantise = fake = Fake(self.shape.layers + 2, inputs[0].device)
        for x in inputs:
            self.net(x)
        fake.observing = False

    def step(self, small, pairs, rate):
        for group in self.opt.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            goal = self.teacher(small)
        error = self.net(small) - goal
        change = error[0:2 * pairs:2] - error[1:2 * pairs:2]  # a still clip is to flicker no more than the teacher
        loss, still = (torch.sqrt(e * e + EPSILON**2).mean() for e in (error, change))
        self.opt.zero_grad()
        (loss + STILL * still).backward()
        torch.nn.utils.clip_grad_norm_(self.params, 0.1)
        self.opt.step()
        return [255 * (v.item() - EPSILON) for v in (loss, still)]

    def save(self, folder):
        scales = np.array([s.item() for s in self.net.quantise.scales])
        np.savez(folder / f"{self.name}-int8.npz", shape=str(self.shape), **network.arrays_of(self.net), activations=scales, **self.kept)


def first_integers(w):
    """The first layer's weights as export will round them."""
    q, scale = graph.integers(w.astype(np.float64))
    return (graph.zero_sum(q, w, scale) * scale[:, None, None, None]).astype(np.float32)


def main():
    path, folder, steps, names = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    device, begin = torch.device("cuda" if torch.cuda.is_available() else "cpu"), time.time()
    torch.manual_seed(2026)
    twins = [Twin(folder, n, device) for n in names]
    scale, = {t.shape.scale for t in twins}
    sizes, mosaics, every = LARGE if device.type == "cuda" else SMALL
    atlas = degrade.Atlas(path, device, [max(2, scale)], every)
    clips = degrade.Clips(atlas, max(2, scale), mosaics, 2028, restore=scale == 1)
    batches = train.Batches(atlas, clips, scale, CLEAN[scale], **sizes)
    inputs = [batches.draw()[0] for _ in range(24)]
    for t in twins:
        t.observe(inputs)
    for n in range(steps):
        rate = RATE * min(1, (n + 1) / 20) * (0.5 + 0.5 * np.cos(np.pi * n / steps))
        small = batches.draw()[0]
        lost = [t.step(small, batches.pairs, rate) for t in twins]
        if n % 100 == 0 or n == steps - 1:
            print(f"{time.time() - begin:4.0f} s, step {n}, levels off, and between still frames: "
                  + ", ".join(f"{t.name} {a:.3f} {b:.3f}" for t, (a, b) in zip(twins, lost)), flush=True)
    for t in twins:
        t.save(folder)


if __name__ == "__main__":
    main()
