#!/usr/bin/env python3
"""Writes a trained network as ONNX, with what a user and the engine must know of it in the file's metadata.

Usage: python3 export.py WEIGHTS.npz OUT.onnx [--name NAME] [--version 1]      (name: the file's, without .onnx)

Weights that hold activation scales become int8; from 64 features on a float network is made for GPUs (graph.py).
"""
import argparse
import pathlib

import numpy as np

import graph
from network import Shape

TRAINING = ("photographs of the Debian packages lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, plasma-workspace-wallpapers, "
            "mate-backgrounds, lxqt-themes and palapeli-data (CC0, CC-BY, CC-BY-SA, GPL, LGPL, GFDL: see their copyright files), "
            "{what}; the test pictures and clips are not among them")


def read(path):
    """A file that train.py wrote -> (shape, arrays, recipe, steps)."""
    data = np.load(path)
    arrays = {k: data[k] for k in data.files if k not in ("shape", "recipe", "steps")}
    return Shape.parse(str(data["shape"])), arrays, str(data["recipe"]), int(data["steps"])


def model(path, name, version):
    shape, arrays, recipe, steps = read(path)
    clean = "-clean" in pathlib.Path(path).stem
    kind = "int8 (QDQ)" if "activations" in arrays else "float"
    metadata = dict(
        name=name, version=version, scale=shape.scale, layout="luma", input="luma, 8 bits", range="limited (16-235), passed through as it is",
        align=shape.unshuffle, alignment=f"centres: output pixel i lies at (i + 0.5) / {shape.scale} - 0.5",
        padding=f"width and height must be multiples of {shape.unshuffle}: pad by repeating the last column or row",
        reach=shape.unshuffle * shape.margin,  # pixels of the input, on each side, that an output depends on
        network=f"1/{shape.unshuffle} of the resolution, {shape.features} features, {shape.layers} inner layers, {kind}, "
                f"{shape.macs():.0f} multiply-accumulates a pixel of the input",
        license="MIT", recipe=recipe,
        training=TRAINING.format(what="shrunk" if clean else "shrunk, as x264 and x265 encodes show them" if shape.scale == 1 else
                                 "as simulated cameras and real x264 and x265 encodes show them, and shrunk"),
        steps=steps)
    if "activations" in arrays:
        return graph.int8_model(shape, arrays, metadata), shape
    return graph.float_model(shape, arrays, metadata, on_gpu=shape.features >= 64), shape


def main():
    args = argparse.ArgumentParser()
    args.add_argument("weights")
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--name")
    args.add_argument("--version", default="1")
    args = args.parse_args()
    data, shape = model(args.weights, args.name or args.out.stem, args.version)
    args.out.write_bytes(data)
    print(f"{args.out}: {shape}, {len(data)} bytes")


if __name__ == "__main__":
    main()
