#!/usr/bin/env python3
"""Writes what the Go test holds the shipped networks to: a frame, and what each network makes of it.

Usage: python3 golden.py NETWORK.onnx ...      (writes ../testdata/frame.png and ../testdata/NETWORK.png)
"""
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import bench

FOLDER = pathlib.Path(__file__).parent.parent / "testdata"


def frame():
    """96x72, the same each time: waves of rising frequency, a clock, an edge, noise on one side, a flat corner."""
    y, x = np.mgrid[0:72, 0:96]
    picture = 120 + 60 * np.sin(x * (x + 20) / 300 + y / 9)
    picture[:, 60:] += np.random.default_rng(1).normal(0, 6, (72, 36))
    picture[50:, :40] = 60
    picture[30:, 70:90] = 200
    image = Image.fromarray(np.clip(np.rint(picture), 16, 235).astype(np.uint8))
    ImageDraw.Draw(image).text((6, 52), "12:34", fill=220, font=ImageFont.load_default(14))
    return np.asarray(image)


def main():
    picture = frame()
    Image.fromarray(picture).save(FOLDER / "frame.png")
    for path in sys.argv[1:]:
        session = bench.session(path)
        out = session.run(None, {session.get_inputs()[0].name: picture[None, None]})[0][0, 0]
        Image.fromarray(out).save(FOLDER / (pathlib.Path(path).stem + ".png"))


if __name__ == "__main__":
    main()
