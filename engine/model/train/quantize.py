#!/usr/bin/env python3
"""Quantises a model of the family to int8 (QDQ, uint8 activations, int8 weights per channel), to be measured.

Usage: python3 quantize.py MODEL.onnx OUT.onnx PAIRS.zip [--8bit-all]

The first, last and bicubic convolutions stay float and weights use 7 bits: x86 without VNNI adds pairs of products in
16 bits, which 8-bit weights overflow. --8bit-all quantises all but the bicubic base, with 8 bits, to show that.
"""
import io
import sys
import tempfile
import zipfile

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image


class Frames(CalibrationDataReader):
    def __init__(self, path):
        archive = zipfile.ZipFile(path)
        names = [n for n in sorted(archive.namelist()) if n.startswith("camera0/")][::6]
        images = (np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("L")) for n in names)
        self.feeds = ({"luma": i[None, None]} for i in images)

    def get_next(self):
        return next(self.feeds, None)


def main():
    source, target, pairs = sys.argv[1:4]
    everything = "--8bit-all" in sys.argv
    model = onnx.load(source)
    for node in model.graph.node:
        node.name = node.output[0]
    with tempfile.NamedTemporaryFile(suffix=".onnx") as named:
        onnx.save(model, named.name)
        quantize_static(
            named.name, target, Frames(pairs), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"],
            per_channel=True, reduce_range=not everything, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=["base"] if everything else ["base", "first_conv", "residual"])


if __name__ == "__main__":
    main()
