#!/usr/bin/env python3
"""Trains networks of the live-x2 family, several at a time on one GPU, for a given number of seconds.

Usage: python3 train.py PAIRS.zip OUT_FOLDER SECONDS NAME[:key=value,...] ...

A name is FEATURESxLAYERS (32x2) with s for separable inner layers, so for a separable last layer too (48x4so).
Keys: lr (2e-3), camera (share of camera frames, 0.4), tag (added to the file name).
Writes OUT_FOLDER/NAME[-tag].npz (the averaged weights) and prints the loss of each network and of bicubic, in dB.
"""
import concurrent.futures
import io
import re
import sys
import time
import zipfile

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import common
import network

BATCH, CROP, EDGE = 64, 80, 8      # crop and unused edge of a small tile, in its pixels
KINDS = [("area", 0.0), ("bicubic", 0.0), ("bicubic", 0.0), ("bicubic", 0.0),
         ("lanczos", 0.0), ("bilinear", 0.0), ("area", 0.4), ("bicubic", 0.5)]
HELD_OUT = 16                      # tiles for the printed figures: every 16th


def parse(spec):
    name, _, rest = spec.partition(":")
    m = re.fullmatch(r"(\d+)x(\d+)(s?)(o?)", name)
    keys = dict(kv.split("=") for kv in rest.split(",")) if rest else {}
    shape = network.Shape(int(m[1]), int(m[2]), bool(m[3]), bool(m[4]))
    file = name + ("-" + keys["tag"] if "tag" in keys else "")
    return file, shape, float(keys.get("lr", 2e-3)), float(keys.get("camera", 0.4))


def load(path, device):
    """sharp u8 [N,S,S]; small u8 [V,N,S/2,S/2]: first the clean kinds, then the cameras' frames."""
    archive = zipfile.ZipFile(path)
    names = sorted(archive.namelist())
    data = [archive.read(n) for n in names]
    def decode(b):
        return np.asarray(Image.open(io.BytesIO(b)).convert("L"))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        images = list(pool.map(decode, data))
    groups = {}
    for name, image in zip(names, images):
        groups.setdefault(name.split("/")[0], []).append(image)
    sharp = torch.from_numpy(np.stack(groups.pop("sharp"))).to(device)
    clean = []
    for kind, sigma in KINDS:
        taps = torch.from_numpy(common.shrink_taps(kind, sigma)).to(device)
        pad = len(taps) // 2 - 1
        x = F.pad(sharp[:, None].float(), [pad] * 4, mode="replicate")
        x = torch.cat([F.conv2d(F.conv2d(p, taps.view(1, 1, 1, -1), stride=(1, 2)), taps.view(1, 1, -1, 1), stride=(2, 1))
                       for p in x.split(16)])
        clean.append(x[:, 0].round().clamp(0, 255).byte())
    cameras = [torch.from_numpy(np.stack(groups[g])).to(device) for g in sorted(groups)]
    return sharp, torch.stack(clean + cameras)


class Batches:
    """Draws batches on the device without a round trip to the host, so that a CUDA graph can hold it."""

    def __init__(self, sharp, small, tiles, camera, batch=BATCH):
        self.sharp, self.small, self.tiles, self.camera, self.batch = sharp, small, tiles, camera, batch
        self.steps = torch.arange(CROP, device=sharp.device)

    def draw(self):
        """small float [B,1,C,C] 0..1, sharp float [B,1,2C,2C] 0..1"""
        dev, b, side = self.sharp.device, self.batch, self.small.shape[-1]
        tile = self.tiles[torch.randint(len(self.tiles), (b,), device=dev)]
        clean = torch.randint(len(KINDS), (b,), device=dev)
        coded = torch.randint(len(KINDS), self.small.shape[0], (b,), device=dev)
        is_camera = torch.rand(b, device=dev) < self.camera
        variant = torch.where(is_camera, coded, clean)
        # Even offsets: the network's 2x2 blocks keep their place in the codec's grid; flips keep it too.
        place = EDGE + 2 * torch.randint((side - 2 * EDGE - CROP) // 2 + 1, (2, b), device=dev)
        y, x = place[0][:, None] + self.steps, place[1][:, None] + self.steps
        flip = torch.rand(3, b, device=dev) < 0.5
        y, x = torch.where(flip[0][:, None], y.flip(1), y), torch.where(flip[1][:, None], x.flip(1), x)
        small = self.small[variant[:, None, None], tile[:, None, None], y[:, :, None], x[:, None, :]].float()
        y2, x2 = self.twice(y), self.twice(x)
        sharp = self.sharp[tile[:, None, None], y2[:, :, None], x2[:, None, :]].float()
        turn = flip[2][:, None, None]
        small = torch.where(turn, small.transpose(1, 2), small)
        sharp = torch.where(turn, sharp.transpose(1, 2), sharp)
        # One in six of the clean frames gets sensor noise of up to 3 levels, rounded as a sensor's is.
        sigma = 3 * torch.rand(b, 1, 1, device=dev) * ((torch.rand(b, 1, 1, device=dev) < 0.17) & ~is_camera[:, None, None])
        small = (small + sigma * torch.randn_like(small)).round().clamp(0, 255)
        return small[:, None] / 255, sharp[:, None] / 255

    @staticmethod
    def twice(i):
        """Large-pixel indices of small-pixel indices, in their order: rising or falling."""
        rising = (i[:, 1:2] > i[:, :1]).long()
        pair = torch.stack([2 * i + 1 - rising, 2 * i + rising], 2)
        return pair.flatten(1)


class Run:
    def __init__(self, spec, sharp, small, tiles):
        self.file, self.shape, self.lr, camera = parse(spec)
        dev = sharp.device
        self.net = network.torch_module(self.shape).to(dev)
        if not (self.shape.separable or self.shape.separable_out):
            self.net.to(memory_format=torch.channels_last)  # what the matrix units want; not so depthwise layers
        self.params = list(self.net.parameters())
        self.mean = [p.detach().clone() for p in self.params]
        self.rate = torch.zeros((), device=dev)
        self.opt = torch.optim.Adam(self.params, lr=self.rate, betas=(0.9, 0.99),
                                    capturable=dev.type == "cuda", foreach=dev.type == "cuda")
        self.batches = Batches(sharp, small, tiles, camera)
        self.base = torch.from_numpy(network.bicubic_kernel()).to(dev)
        self.loss = torch.zeros((), device=dev)

    def difference(self, small, sharp):
        """Error of the network and of bicubic against the sharp picture, in the middle of the crop."""
        m = self.shape.margin
        base = F.conv2d(small, self.base, stride=2)[:, :, m:-m, m:-m]
        goal = F.pixel_unshuffle(sharp, 4)[:, :, 1 + m:-1 - m, 1 + m:-1 - m] - base
        return self.net(small) - goal, goal

    def step(self):
        self.opt.zero_grad(set_to_none=False)
        error, _ = self.difference(*self.batches.draw())
        loss = torch.sqrt(error * error + 1e-6).mean()
        loss.backward()
        grads = [p.grad for p in self.params]
        total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        torch._foreach_mul_(grads, (0.1 / (total + 1e-8)).clamp(max=1))
        self.opt.step()
        torch._foreach_lerp_(self.mean, self.params, 0.002)
        self.loss.copy_(loss.detach())

    @torch.no_grad()
    def figures(self, tiles):
        """dB of the averaged weights and of bicubic on held-out tiles: clean, camera."""
        kept = [p.clone() for p in self.params]
        for p, m in zip(self.params, self.mean):
            p.copy_(m)
        out = []
        for share in (0.0, 1.0):
            torch.manual_seed(1)
            batches = Batches(self.batches.sharp, self.batches.small, tiles, share)
            sums = np.zeros(2)
            for _ in range(16):
                error, goal = self.difference(*batches.draw())
                sums += [(error**2).mean().item(), (goal**2).mean().item()]
            out += list(-10 * np.log10(sums / 16))
        for p, k in zip(self.params, kept):
            p.copy_(k)
        return out


def main():
    path, folder, seconds, specs = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
    started = time.time()
    dev = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    sharp, small = load(path, dev)
    every = torch.arange(len(sharp), device=dev)
    held = every % HELD_OUT == HELD_OUT - 1
    train, test = every[~held], every[held]
    torch.manual_seed(2026)
    runs = [Run(s, sharp, small, train) for s in specs]
    print(f"{dev}, {len(sharp)} tiles, loaded in {time.time() - started:.0f} s", flush=True)

    def one():
        for r in runs:
            r.step()
    graph = None
    if dev.type == "cuda":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                one()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            one()
    begin, steps, said = time.time(), 0, 0.0
    while (part := (time.time() - begin) / seconds) < 1:
        warm = min(1.0, steps / 1000)
        for r in runs:
            r.rate.fill_(max(1e-6, r.lr * warm * (0.5 + 0.5 * np.cos(np.pi * part))))
        for _ in range(10 if graph else 1):
            graph.replay() if graph else one()
            steps += 1
        if dev.type == "cuda":
            torch.cuda.synchronize()
        if part > said:
            said += 0.1
            print(f"{part:4.0%} step {steps}: " + "  ".join(f"{r.file} {r.loss.item():.5f}" for r in runs), flush=True)
    for r in runs:
        clean, clean_base, camera, camera_base = r.figures(test)
        print(f"{r.file}: clean {clean:.2f} dB (bicubic {clean_base:.2f}, {clean - clean_base:+.2f}), "
              f"camera {camera:.2f} dB (bicubic {camera_base:.2f}, {camera - camera_base:+.2f})", flush=True)
        with torch.no_grad():
            for p, m in zip(r.params, r.mean):
                p.copy_(m)
        arrays = {f"{k}{i}": a for i, pair in enumerate(network.weights_of(r.net)) for k, a in zip("wb", pair)}
        np.savez(f"{folder}/{r.file}.npz", steps=steps, **arrays)
    print(f"{steps} steps of {BATCH} crops each, {time.time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
