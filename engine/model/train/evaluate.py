#!/usr/bin/env python3
"""PSNR of models on luma, beside bicubic and Lanczos: six test pictures (shrunk, clean) and two clips (shrunk, x264).

Usage: python3 evaluate.py FOLDER [--crops OUT] MODEL.onnx ...     FOLDER: the packages, unpacked (see README.md)

Bicubic and Lanczos are PIL's, as is the shrinking (bicubic, its anti-aliased kind). Twelve pixels at the borders do not count.
"""
import argparse
import pathlib
import subprocess

import numpy as np
from PIL import Image

import bench
import common

Image.MAX_IMAGE_PIXELS = None
BORDER = 12
CRFS = (18, 23, 28)
CLIP_FRAMES = 60


def resized(x, kind, size):
    return np.asarray(Image.fromarray(x).resize(size, kind))


def methods(models):
    def pil(kind):
        return lambda x: resized(x, kind, (x.shape[1] * 2, x.shape[0] * 2))
    def network(path):
        session = bench.session(str(path))
        return lambda x: session.run(None, {"luma": x[None, None]})[0][0, 0]
    return {"bicubic": pil(Image.BICUBIC), "lanczos": pil(Image.LANCZOS)} | {
        pathlib.Path(m).stem: network(m) for m in models}


def error(a, b):
    d = a[BORDER:-BORDER, BORDER:-BORDER].astype(np.float64) - b[BORDER:-BORDER, BORDER:-BORDER]
    return (d * d).mean()


def psnr(mse):
    return 10 * np.log10(255**2 / mse)


def find(folder, name):
    return next(p for p in sorted(folder.rglob(name)) if p.is_file())


def clip(path):
    """The first frames of a clip as luma [N,H,W], sides cut to multiples of 4."""
    w, h = {"vtest.avi": (768, 576), "cockatoo.mp4": (1280, 720)}[path.name]
    raw = subprocess.run([common.ffmpeg(), "-nostdin", "-loglevel", "error", "-threads", "1", "-i", path, "-frames:v",
                          str(CLIP_FRAMES), "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"],
                         stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, h * 3 // 2, w)[:, :h]


def shrunk(x):
    return resized(x, Image.BICUBIC, (x.shape[1] // 2, x.shape[0] // 2))


def crop(out, name, small, sharp, results, size=192):
    """A strip of the most detailed place: sharp original, then each method, enlarged by 2."""
    best, place = 0, (0, 0)
    for t in range(0, sharp.shape[0] - size, size // 2):
        for l in range(0, sharp.shape[1] - size, size // 2):
            d = np.abs(np.diff(sharp[t:t + size, l:l + size].astype(int))).mean()
            if d > best:
                best, place = d, (t, l)
    t, l = place
    strip = np.concatenate([p[t:t + size, l:l + size] for p in [sharp, *results.values()]], 1)
    Image.fromarray(strip).resize((strip.shape[1] * 2, strip.shape[0] * 2), Image.NEAREST).save(out / f"{name}.png")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("--crops", type=pathlib.Path)
    args.add_argument("models", nargs="*")
    args = args.parse_intermixed_args()
    ways = methods(args.models)
    if args.crops:
        args.crops.mkdir(parents=True, exist_ok=True)

    def row(name, values):
        print(f"{name:32s}" + "".join(f"{v:>12s}" if isinstance(v, str) else f"{v:12.2f}" for v in values), flush=True)
    row("dB, luma", list(ways))
    sums = []
    for name in common.TEST_PICTURES:
        y = common.to_bytes(common.luma(np.asarray(Image.open(find(args.folder, name)).convert("RGB"))))
        y = y[:y.shape[0] // 4 * 4, :y.shape[1] // 4 * 4]
        small = shrunk(y)
        results = {k: f(small) for k, f in ways.items()}
        sums.append([psnr(error(r, y)) for r in results.values()])
        row(name, sums[-1])
        if args.crops:
            crop(args.crops, name.split(".")[0], small, y, results)
    row("six pictures, mean", np.mean(sums, 0))
    for name in common.TEST_CLIPS:
        frames = clip(find(args.folder, name))
        small = np.stack([shrunk(f) for f in frames])
        for crf in (None, *CRFS):
            coded, rate = (small, 0) if crf is None else common.h264(small, crf)
            errors = np.zeros(len(ways))
            kept = range(0, len(frames), 5)
            for i in kept:
                results = {k: f(np.ascontiguousarray(coded[i])) for k, f in ways.items()}
                errors += [error(r, frames[i]) for r in results.values()]
            label = "not coded" if crf is None else f"crf {crf}, {rate / 1000:.0f} kbit/s"
            row(f"{name} {label}", psnr(errors / len(kept)))
            if args.crops:
                crop(args.crops, f"{name.split('.')[0]}-{crf}", coded[i], frames[i], results)


if __name__ == "__main__":
    main()
