#!/usr/bin/env python3
"""Writes a trained network of the live-x2 family as ONNX.

Usage: python3 export.py NAME.npz OUT.onnx [key=value ...]     (keys go into the model's metadata)
"""
import pathlib
import re
import sys

import numpy as np

import network


def read(path):
    """A file that train.py wrote -> (shape, weights). Its name says the shape."""
    m = re.match(r"(\d+)x(\d+)(s?)(o?)", pathlib.Path(path).name)
    arrays = np.load(path)
    count = sum(k.startswith("w") for k in arrays.files)
    return (network.Shape(int(m[1]), int(m[2]), bool(m[3]), bool(m[4])),
            [(arrays[f"w{i}"], arrays[f"b{i}"]) for i in range(count)])


def main():
    source, target = sys.argv[1:3]
    shape, weights = read(source)
    metadata = dict(
        name=pathlib.Path(target).stem, scale=2, layout="luma", align=2,
        padding="height and width must be even: pad by repeating the last row or column",
        network=f"half resolution, {shape.features} features, {shape.layers} inner layers, "
                f"{shape.macs():.0f} multiply-accumulates a pixel of the input")
    metadata |= dict(a.split("=", 1) for a in sys.argv[3:])
    model = network.onnx_model(shape, weights, **metadata)
    pathlib.Path(target).write_bytes(model)
    print(f"{target}: {len(model)} bytes, flat areas moved by up to "
          f"{np.abs(network.flat_residual(shape, weights)).max() * 255:.3f} of 255 before the correction")


if __name__ == "__main__":
    main()
