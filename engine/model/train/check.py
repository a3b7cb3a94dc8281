#!/usr/bin/env python3
"""Checks a x2 luma model: sizes, flat areas, borders, phase, brightness, determinism across sizes. Exits 1 on a fault.

Usage: python3 check.py MODEL.onnx
"""
import sys

import numpy as np

import bench


def main():
    session = bench.session(sys.argv[1])
    faults = 0

    def run(x):
        return session.run(None, {"luma": np.ascontiguousarray(x)[None, None]})[0][0, 0]

    def expect(what, worst, limit):
        nonlocal faults
        faults += worst > limit
        print(f"{'ok  ' if worst <= limit else 'FAIL'} {what}: {worst:.2f} (limit {limit})")

    for h, w in ((2, 2), (2, 640), (36, 64), (360, 640), (288, 384), (1080, 1920)):
        expect(f"size of {w}x{h}", float(run(np.zeros((h, w), np.uint8)).shape != (2 * h, 2 * w)), 0)
    expect("flat areas, borders too, all 256 levels", max(
        np.abs(run(np.full((24, 40), v, np.uint8)).astype(int) - v).max() for v in range(256)), 0)

    # A slow wave tells where the pixels are: output i lies at (i + 0.5) / 2 - 0.5.
    def wave(n, scale):
        x = (np.arange(n * scale) + 0.5) / scale - 0.5
        return 128 + 80 * np.sin(2 * np.pi * x / 40)
    for axis in (0, 1):
        small, large = (np.tile(np.rint(wave(120, s))[:, None], (1, 120 * s)) for s in (1, 2))
        small, large = (a.T if axis else a for a in (small, large))
        out = run(small.astype(np.uint8)).astype(float)
        expect(f"phase along axis {axis}", np.abs(out - large)[16:-16, 16:-16].max(), 3)

    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (90, 160)).astype(np.uint8)
    expect("the same twice", float((run(noise) != run(noise)).any()), 0)
    mild = np.clip(rng.normal(128, 10, (90, 160)), 0, 255).round().astype(np.uint8)
    expect("mean brightness of mild noise", abs(run(mild).mean() - mild.mean()), 0.25)
    whole, part = run(noise), run(noise[:, :80])
    expect("a cut changes only its border", np.abs(whole[:, :136].astype(int) - part[:, :136]).max(), 1)
    ramp = np.tile(np.linspace(40, 200, 64).round().astype(np.uint8), (48, 1))
    out = run(ramp).astype(float)
    line = np.repeat(np.linspace(40, 200, 64), 2)[None]
    expect("a ramp at the borders", np.abs(out - line).max(), 5)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
