#!/usr/bin/env python3
"""Checks luma models: sizes, flat areas, borders, phase, brightness, determinism, metadata. Exits 1 on a fault.

Usage: python3 check.py MODEL.onnx ...
"""
import sys

import numpy as np

import bench

METADATA = ("name", "version", "scale", "input", "layout", "range", "align", "alignment", "padding", "reach", "network", "license", "training", "recipe")


class Check:
    """One model's checks; `faults` counts those that failed."""

    def __init__(self, path):
        self.session = bench.session(path)
        self.name_in = self.session.get_inputs()[0].name
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        self.scale, self.align = int(self.metadata["scale"]), int(self.metadata["align"])
        self.faults = 0

    def run(self, x):
        return self.session.run(None, {self.name_in: np.ascontiguousarray(x)[None, None]})[0][0, 0]

    def expect(self, what, worst, limit):
        self.faults += worst > limit
        print(f"{'ok  ' if worst <= limit else 'FAIL'} {what}: {worst:.2f} (limit {limit})")

    def all(self):
        s, a = self.scale, self.align
        self.expect(f"metadata missing of {len(METADATA)}", sum(not self.metadata.get(k) for k in METADATA), 0)
        for h, w in ((a, a), (a, 640), (36, 64), (360, 640), (288, 384)):
            self.expect(f"size of {w}x{h}", float(self.run(np.zeros((h, w), np.uint8)).shape != (s * h, s * w)), 0)
        self.expect("flat areas, borders too, all 256 levels", max(
            np.abs(self.run(np.full((24, 40), v, np.uint8)).astype(int) - v).max() for v in range(256)), 0)
        for axis in (0, 1):
            small, large = (np.tile(np.rint(self.wave(120, k))[:, None], (1, 120 * k)) for k in (1, s))
            small, large = (p.T if axis else p for p in (small, large))
            out = self.run(small.astype(np.uint8)).astype(float)
            self.expect(f"phase along axis {axis}", np.abs(out - large)[8 * s:-8 * s, 8 * s:-8 * s].max(), 3)
        self.textures()

    def textures(self):
        s = self.scale
        rng = np.random.default_rng(3)
        noise = rng.integers(0, 256, (96, 160)).astype(np.uint8)
        self.expect("the same twice", float((self.run(noise) != self.run(noise)).any()), 0)
        mild = np.clip(rng.normal(128, 10, (96, 160)), 0, 255).round().astype(np.uint8)
        self.expect("mean brightness of mild noise", abs(self.run(mild).mean() - mild.mean()), 0.25)
        whole, part = self.run(noise), self.run(noise[:, :80])
        far = (80 - int(self.metadata["reach"])) * s
        self.expect("a cut changes only its border", np.abs(whole[:, :far].astype(int) - part[:, :far]).max(), 1)
        ramp = np.tile(np.linspace(40, 200, 64).round().astype(np.uint8), (48, 1))
        line = np.repeat(np.linspace(40, 200, 64), s)[None]
        self.expect("a ramp at the borders", np.abs(self.run(ramp).astype(float) - line).max(), 5)

    @staticmethod
    def wave(n, scale):
        """A slow wave tells where the pixels are: output i lies at (i + 0.5) / scale - 0.5."""
        x = (np.arange(n * scale) + 0.5) / scale - 0.5
        return 128 + 80 * np.sin(2 * np.pi * x / 40)


def main():
    faults = 0
    for path in sys.argv[1:]:
        print(path)
        check = Check(path)
        check.all()
        faults += check.faults
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
