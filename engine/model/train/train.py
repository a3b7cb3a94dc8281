#!/usr/bin/env python3
"""Trains all networks of family.py at once on one GPU, for a given number of seconds.

Usage: python3 train.py PHOTOS.zip OUT_FOLDER SECONDS [--clean] [--begin FOLDER] [NAME ...]      (names: only these)

--clean: with clean pairs alone.

A network begins with the weights in FOLDER/NAME.npz, from an earlier run, if there are such; otherwise with nothing.
Writes OUT_FOLDER/NAME.npz (averaged weights) every two minutes and at the end, and train.json with every network's dB on held-out pictures.
All steps of all networks are one CUDA graph; networks that see the same kind of pairs share a batch.
"""
import argparse
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch.nn import functional as F

import degrade
import network
from family import JOBS

EDGE = 8                          # small pixels at a tile's edge that a neighbour's content may have touched
MOSAICS = {1: 72, 2: 72, 4: 24}   # encoded clips for each scale: 24 tiles of 8 frames each
EPSILON = 4e-3                    # Charbonnier's: an error of a level counts by its square, a large one by its size
FLOOR = (0.4 / 255)**2            # mean square that is as good as nothing: rounding hides it
STILL_EPSILON = 5e-4
NOISE = {1: 8, 2: 8, 4: 16}       # the strongest on clean pairs, levels
SAVED = 120                       # seconds between two writes of the weights


class Batches:
    """Draws batches on the device without a round trip to the host, so that a CUDA graph can hold it."""

    def __init__(self, atlas, clips, scale, clean, crop, batch, held=False):
        self.atlas, self.clips, self.scale, self.clean, self.crop, self.batch = atlas, clips, scale, clean, crop, batch
        self.factor = max(2, scale)      # restoration (scale 1) works on pictures shrunk by 2
        dev = atlas.device
        rng = np.random.default_rng(1)
        self.places = atlas.places(self.factor * crop, 65536, held, rng)
        self.kinds = torch.from_numpy(rng.choice(len(degrade.KINDS), 16384, p=degrade.CHANCES)).to(dev)
        # The first places of a batch: pairs of frames of still clips, for the networks that see cameras at all.
        self.pairs = batch // 10 if 0 < clean < 1 else 0
        rest = 1 - 2 * self.pairs / batch
        self.clean_chance = torch.full((batch,), min(1, clean / rest), device=dev)
        self.clean_chance[:2 * self.pairs] = 0

    def _random(self, n):
        """Whole numbers from 0 to n-1; n a number or a tensor [B]"""
        return (torch.rand(self.batch, device=self.atlas.device) * n).long()

    def _refresh(self):
        """What an encoder changes now and then in a third of the blocks of a still picture: a level here and there, [pairs,C,C]."""
        n, c, dev = self.pairs, self.crop, self.atlas.device

        def blocks(kind, side):
            i = torch.arange(c, device=dev) // side
            return kind(n, -(-c // side), -(-c // side), device=dev)[:, i[:, None], i]
        change = 0.4 * (blocks(torch.randn, 1) + blocks(torch.randn, 2))
        return change.round() * (blocks(torch.rand, 8) < 0.33)

    def draw(self):
        """input float [B,1,C,C] 0..1, goal float [B,1,sC,sC] 0..1; the first pairs are 0 and 1, 2 and 3 …"""
        c, k, b, atlas, clips = self.crop, self.factor, self.batch, self.atlas, self.clips
        dev = atlas.device
        clean = torch.rand(b, device=dev) < self.clean_chance
        tile, f = clips.every[self._random(len(clips.every))], self._random(degrade.FRAMES)
        # Even offsets: the network's blocks keep their place in the codec's grid; flips keep it too.
        oy, ox = (EDGE + 2 * self._random((degrade.TILE - 2 * EDGE - c) // 2 + 1) for _ in "yx")
        flip = torch.rand(3, b, device=dev) < 0.5
        if self.pairs:
            n = 2 * self.pairs
            tile[:n] = clips.still[self._random(len(clips.still))[:n]]
            for drawn in (tile, oy, ox):
                drawn[1:n:2] = drawn[0:n:2]
            f[1:n:2] = (f[0:n:2] + 1 + f[1:n:2] % (degrade.FRAMES - 1)) % degrade.FRAMES  # another frame of the clip
            flip[:, 1:n:2] = flip[:, 0:n:2]
        e, t = tile[:, 0], tile[:, 1]
        place = self.places[self._random(len(self.places))]
        picture = torch.where(clean, place[:, 0], clips.picture[e, t])
        kind = torch.where(clean, self.kinds[self._random(len(self.kinds))], clips.kind[e, t])
        top = torch.where(clean, place[:, 1], clips.y[e, t, f] + k * oy)
        left = torch.where(clean, place[:, 2], clips.x[e, t, f] + k * ox)
        steps = torch.arange(c, device=dev)
        sy, sx = (torch.where(m[:, None], c - 1 - steps, steps) for m in flip[:2])
        shrunk = atlas.small(k, kind, picture, top[:, None] + k * sy, left[:, None] + k * sx).float()
        row, col = t // degrade.COLS * degrade.TILE + oy, t % degrade.COLS * degrade.TILE + ox
        where = e[:, None, None], f[:, None, None], (row[:, None] + sy)[:, :, None], (col[:, None] + sx)[:, None, :]
        seen = clips.frames[where]
        # One in six of the clean inputs is noisy, and so is its goal: what a camera of more pixels would have seen, as far as this noise tells.
        strength = (torch.rand(b, 1, 1, device=dev) < (0.17 if self.clean < 1 else 0)) * clean[:, None, None]
        noise = NOISE[self.scale] * torch.rand(b, 1, 1, device=dev) ** 3 * strength * torch.randn(b, c, c, device=dev)
        noisy = (shrunk + noise).round().clamp(0, 255)
        small = torch.where(clean[:, None, None], noisy, seen.float())
        if self.pairs:
            second = small[1:2 * self.pairs:2]
            second.copy_((second + self._refresh()).clamp(0, 255))
        if self.scale == 1:
            goal = torch.where(clean[:, None, None], noisy, clips.fed[where].float())
        else:
            large = torch.arange(k * c, device=dev)
            ly, lx = (torch.where(m[:, None], k * c - 1 - large, large) for m in flip[:2])
            noise = F.interpolate(noise[:, None], scale_factor=k)[:, 0]
            goal = (atlas.large(picture, top[:, None] + ly, left[:, None] + lx) + noise).clamp(0, 255)
        turn = flip[2][:, None, None]
        small, goal = (torch.where(turn, p.transpose(1, 2), p)[:, None] / 255 for p in (small, goal))
        return small, goal


class Run:
    def __init__(self, job, device):
        self.job, self.shape, self.peak = job, job.shape, job.rate
        self.net = network.torch_module(job.shape, job.expand, job.half).to(device)
        self.params = list(self.net.parameters())
        self.mean = [p.detach().clone() for p in self.params]
        self.rate = torch.zeros((), device=device)
        cuda = device.type == "cuda"
        self.opt = torch.optim.Adam(self.params, lr=self.rate, betas=(0.9, 0.99), capturable=cuda, foreach=cuda)
        self.loss = torch.zeros((), device=device)
        self.start = torch.from_numpy(network.base_kernel(job.shape)).to(device)

    def error(self, small, goal):
        """The network's and bicubic's difference from the goal, in the middle of the crop: [B,outputs,h,w] each."""
        out = self.net(small)
        goal = F.pixel_unshuffle(goal, self.shape.block)
        goal = self.net.middle(goal, out.shape[2])
        base = self.net.middle(F.conv2d(small, self.start, stride=self.shape.unshuffle), out.shape[2])
        return out - goal, base - goal

    def step(self, small, goal, pairs):
        self.opt.zero_grad(set_to_none=False)
        error, _ = self.error(small, goal)
        if self.shape.scale == 1:  # in decibels, so that a good input counts as much as a bad one: it is to be left alone
            loss = 0.005 * torch.log((error * error).mean((1, 2, 3)) + FLOOR).mean()
        else:
            loss = torch.sqrt(error * error + EPSILON**2).mean()
        if pairs:  # both have the same goal, so the difference of their errors is that of the outputs
            change = error[0:2 * pairs:2] - error[1:2 * pairs:2]
            loss = loss + self.job.still * torch.sqrt(change * change + STILL_EPSILON**2).mean()
        loss.backward()
        grads = [p.grad for p in self.params]
        total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        torch._foreach_mul_(grads, (0.1 / (total + 1e-8)).clamp(max=1))
        self.opt.step()
        torch._foreach_lerp_(self.mean, self.params, 0.001)
        self.loss.copy_(loss.detach())

    def averaged(self):
        """Swaps the averaged weights with the trained ones (twice: back)."""
        with torch.no_grad():
            for p, m in zip(self.params, self.mean):
                kept = p.clone()
                p.copy_(m)
                m.copy_(kept)

    @torch.no_grad()
    def figures(self, held, device):
        """dB of the averaged weights and of bicubic on held-out pictures: {'clean': [ours, bicubic], 'camera': …}"""
        self.averaged()
        out = {}
        for what, share in (("clean", 1.0), ("camera", 0.0)):
            batches = held(self.job.group, share)
            torch.manual_seed(1)
            sums, draws = np.zeros(2), 12 if device.type == "cuda" else 1
            for _ in range(draws):
                sums += [(e**2).mean().item() for e in self.error(*batches.draw())]
            out[what] = [round(float(v), 3) for v in -10 * np.log10(np.maximum(sums / draws, 1e-12))]
        self.averaged()
        return out

    def save(self, folder, steps):
        """Writes the averaged weights, whole or not at all."""
        self.averaged()
        arrays = network.arrays_of(self.net)
        self.averaged()
        part = folder / f".{self.job.name}.npz"
        np.savez(part, shape=str(self.shape), recipe=recipe(), steps=steps, **arrays)
        os.replace(part, folder / f"{self.job.name}.npz")


def graph_of(runs, batches, device):
    """A function that does one step of all runs: a CUDA graph in which the networks run side by side."""
    streams = [torch.cuda.Stream() for _ in range(min(4, len(runs)))] if device.type == "cuda" else []

    def one():
        drawn = {g: b.draw() for g, b in batches.items()}
        if not streams:
            for r in runs:
                r.step(*drawn[r.job.group], batches[r.job.group].pairs)
            return
        here = torch.cuda.current_stream()
        for i, r in enumerate(runs):
            side = streams[i % len(streams)]
            side.wait_stream(here)
            with torch.cuda.stream(side):
                r.step(*drawn[r.job.group], batches[r.job.group].pairs)
        for side in streams:
            here.wait_stream(side)
    if device.type != "cuda":
        return one
    warm = torch.cuda.Stream()
    warm.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm):
        for _ in range(3):
            one()
    torch.cuda.current_stream().wait_stream(warm)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        one()
    return graph.replay


def train(runs, step, seconds, device, folder, warm_up=1500):
    """Steps until the time is over: linear warm-up, then a cosine to nothing. Returns the number of steps."""
    begin, steps, said, saved = time.time(), 0, 0.0, SAVED
    while (part := (time.time() - begin) / seconds) < 1:
        for r in runs:
            r.rate.fill_(max(1e-7, r.peak * min(1.0, (steps + 1) / warm_up) * (0.5 + 0.5 * np.cos(np.pi * part))))
            if r.net.leak is not None:
                r.net.leak.fill_(max(0.0, 0.1 - 0.2 * part))
        for _ in range(10 if device.type == "cuda" else 1):
            step()
            steps += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        if part > said:
            said += 0.05
            print(f"{part:4.0%} step {steps}: " + " ".join(f"{r.job.name} {r.loss.item():.5f}" for r in runs), flush=True)
        if time.time() - begin > saved:
            saved += SAVED
            for r in runs:
                r.save(folder, steps)
    for r in runs:
        r.save(folder, steps)
    return steps


def recipe():
    """SHA-256 of everything that decides the result but the photographs: the sources of this folder that training runs."""
    here = pathlib.Path(__file__).parent
    files = ("common.py", "degrade.py", "family.py", "network.py", "prepare.py", "quantize.py", "train.py")
    return hashlib.sha256(b"".join((here / f).read_bytes() for f in files)).hexdigest()[:16]


def begin_with(run, folder, device):
    """Gives a network the weights of an earlier run; one that has none starts with ReLUs that leak, so that it does not die. Says which."""
    path = folder / f"{run.job.name}.npz" if folder else None
    if path is None or not path.exists():
        run.net.leak = torch.zeros((), device=device)
        print(f"{run.job.name} begins with nothing", flush=True)
        return
    arrays = dict(np.load(path))
    shape = network.Shape.parse(str(arrays["shape"]))
    run.net.begin_with(arrays, shape.layers)
    for p, m in zip(run.params, run.mean):
        m.copy_(p.detach())
    print(f"{run.job.name} begins with {shape} of recipe {arrays['recipe']}", flush=True)


def arguments():
    args = argparse.ArgumentParser()
    args.add_argument("photos")
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("seconds", type=float)
    args.add_argument("--clean", action="store_true")
    args.add_argument("--begin", type=pathlib.Path)
    args.add_argument("names", nargs="*")
    return args.parse_intermixed_args()


def main():
    args = arguments()
    path, folder, seconds = args.photos, args.folder, args.seconds
    jobs = [dataclasses.replace(j, clean=1.0 if args.clean else j.clean) for j in JOBS if not args.names or j.name in args.names]
    begin = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(2026)
    scales = sorted({j.shape.scale for j in jobs})
    atlas = degrade.Atlas(path, device, sorted({max(2, s) for s in scales}))
    small = device.type == "cpu"  # only to see that everything runs

    def clips_of(counts, seed, held):
        return {s: degrade.Clips(atlas, max(2, s), 2 if small else counts[s], seed + s, held, restore=s == 1) for s in scales}
    clips, held_clips = clips_of(MOSAICS, 2026, False), clips_of(dict.fromkeys(scales, 8), 7, True)
    print(f"{device}, {len(atlas.sizes)} pictures, {atlas.sizes.sum() / 1e6:.0f} MP; clips "
          f"{ {s: f'{tuple(c.frames.shape)}, {c.bits:.3f} bits a pixel' for s, c in clips.items()} }, {time.time() - begin:.0f} s", flush=True)

    @functools.cache
    def held(group, share):
        scale, _, crop, batch = group
        return Batches(atlas, held_clips[scale], scale, share, crop, 2 if small else batch, held=True)

    def batches_for(runs):
        return {g: Batches(atlas, clips[g[0]], *g[:3], 10 if small else g[3]) for g in {r.job.group for r in runs}}
    runs = [Run(j, device) for j in sorted(jobs, key=lambda j: -j.shape.macs())]
    for r in runs:
        begin_with(r, args.begin, device)
    batches = batches_for(runs)  # kept: the graph reads their tensors
    steps = train(runs, graph_of(runs, batches, device), seconds, device, folder)
    print(f"{steps} steps, {time.time() - begin:.0f} s", flush=True)
    report = {"recipe": recipe(), "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "steps": steps,
              "seconds": seconds, "networks": {}}
    for r in runs:
        figures = r.figures(held, device)
        report["networks"][r.job.name] = {"shape": str(r.shape), "macs": r.shape.macs(), "share": r.job.clean, "rate": r.job.rate,
                                          "expand": r.job.expand, "still": r.job.still, **figures}
        print(f"{r.job.name}: " + ", ".join(f"{k} {v[0]:.2f} dB ({v[0] - v[1]:+.2f})" for k, v in figures.items()), flush=True)
        (folder / "train.json").write_text(json.dumps(report, indent=1))
    print(f"{time.time() - begin:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
