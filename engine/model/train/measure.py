#!/usr/bin/env python3
"""Measures models against bicubic and Lanczos on pictures and clips that no training saw; writes one JSON file.

Usage: python3 measure.py pack PACKAGES TESTSET      the test pictures (cut) and clips, out of the unpacked packages (see README.md)
       python3 measure.py run TESTSET OUT.json [--threads N] [--frames N] [--crops FOLDER] MODEL.onnx ...

Pictures: each test picture shrunk by Lanczos until it covers 1152x648, centre cut, luma; halved (or quartered) by PIL's bicubic.
Clips: luma of the first frames, halved by PIL's bicubic, x264 as live cameras use it. Twelve pixels at the borders do not count for PSNR.
VMAF NEG and SSIM are FFmpeg's (libvmaf), over the whole frame. "night" is vtest made dark and noisy, with a clock burnt in.
"""
import argparse
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import bench
import common

Image.MAX_IMAGE_PIXELS = None
BORDER, FIRST = 12, 12
RATES = ("none", "crf 23", "crf 28", "crf 33", "1000k", "500k", "250k")
CLIPS = {"vtest.avi": (768, 576, 10), "cockatoo.mp4": (1280, 720, 20)}


def pack(packages, out):
    out.mkdir(parents=True, exist_ok=True)

    def find(name):
        return next(p for p in sorted(packages.rglob(name)) if p.is_file())
    for name in common.TEST_PICTURES:
        picture = Image.open(find(name)).convert("RGB")
        k = max(1152 / picture.width, 648 / picture.height)
        picture = picture.resize((max(1152, round(picture.width * k)), max(648, round(picture.height * k))), Image.LANCZOS)
        l, t = (picture.width - 1152) // 2, (picture.height - 648) // 2
        y = common.luma(np.asarray(picture.crop((l, t, l + 1152, t + 648))))
        Image.fromarray(common.to_bytes(y)).save(out / f"{name.split('.')[0].split('_')[0]}.png")
    for name in common.TEST_CLIPS:
        shutil.copy(find(name), out / name)


def resized(x, kind, size):
    return np.asarray(Image.fromarray(x).resize(size, kind))


def shrunk(x, scale):
    return resized(x, Image.BICUBIC, (x.shape[1] // scale, x.shape[0] // scale))


def pil(kind, scale):
    return lambda x: resized(x, kind, (x.shape[1] * scale, x.shape[0] * scale))


def network(path, threads):
    session = bench.session(str(path), threads)
    name = session.get_inputs()[0].name
    return int(session.get_modelmeta().custom_metadata_map["scale"]), lambda x: session.run(None, {name: x[None, None]})[0][0, 0]


def read_clip(path, frames):
    """The first frames of a clip as luma uint8 [N,H,W]."""
    w, h, _ = CLIPS[path.name]
    raw = subprocess.run([common.ffmpeg(), "-nostdin", "-loglevel", "error", "-i", path, "-frames:v", str(frames),
                          "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"], stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, h * 3 // 2, w)[:, :h]


def night(frames):
    """A dark, noisy camera at night, made from a clip of the day; a clock is burnt in after the noise."""
    rng = np.random.default_rng(5)
    out = []
    for n, f in enumerate(frames):
        dark = 16 + 219 * ((f.astype(np.float64) - 16) / 219).clip(0, 1) ** 1.6 * 0.45
        image = Image.fromarray(common.to_bytes(dark + rng.normal(0, 2.5, f.shape)))
        ImageDraw.Draw(image).text((24, 20), f"2026-03-14 02:17:{n // 10 % 60:02} CAM 7", fill=225, font=ImageFont.load_default(30),
                                   stroke_width=2, stroke_fill=16)
        out.append(np.asarray(image))
    return np.stack(out)


def mse(a, b):
    d = a[..., BORDER:-BORDER, BORDER:-BORDER].astype(np.float64) - b[..., BORDER:-BORDER, BORDER:-BORDER]
    return (d * d).mean()


def psnr(error):
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def vmaf(ours, truth):
    """(VMAF NEG, SSIM) of luma clips uint8 [N,H,W]."""
    n, h, w = truth.shape
    chroma = np.full(h * w // 2, 128, np.uint8).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in (("ours", ours), ("truth", truth)):
            pathlib.Path(folder, name).write_bytes(b"".join(f.tobytes() + chroma for f in frames))
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{w}x{h}", "-r", "25"]
        subprocess.run([common.ffmpeg(), "-nostdin", "-loglevel", "error", *raw, "-i", "ours", *raw, "-i", "truth", "-lavfi",
                        "libvmaf=model=version=vmaf_v0.6.1neg:feature=name=float_ssim:log_fmt=json:log_path=log", "-f", "null", "-"],
                       cwd=folder, check=True)
        pooled = json.loads(pathlib.Path(folder, "log").read_text())["pooled_metrics"]
    return pooled["vmaf"]["mean"], pooled["float_ssim"]["mean"]


def flicker(out, truth):
    """Mean absolute change of consecutive outputs where the truth stands still (changes by at most 2 levels all the time), and the mean
    difference of that change from the truth's, everywhere."""
    steps = np.abs(np.diff(truth.astype(np.int16), axis=0))
    still = steps.max(0) <= 2
    ours = np.diff(out.astype(np.int16), axis=0)
    change = float(np.abs(ours)[:, still].mean()) if still.any() else None
    return change, float(np.abs(ours - np.diff(truth.astype(np.int16), axis=0)).mean())


def pictures(folder, ways):
    out = {}
    for path in sorted(folder.glob("*.png")):
        y = np.asarray(Image.open(path))
        for name, (scale, f) in ways.items():
            if scale > 1:
                out.setdefault(name, {})[path.stem] = round(psnr(mse(f(shrunk(y, scale)), y)), 3)
    return out


def strip(folder, name, small, truth, outputs, size=160):
    """Side by side: the truth's most detailed place, and each output there."""
    best, place = -1, (0, 0)
    for t in range(0, truth.shape[0] - size, size // 2):
        for l in range(0, truth.shape[1] - size, size // 2):
            d = np.abs(np.diff(truth[t:t + size, l:l + size].astype(int))).mean()
            if d > best:
                best, place = d, (t, l)
    t, l = place
    row = np.concatenate([p[t:t + size, l:l + size] for p in [truth, *outputs]], 1)
    Image.fromarray(row).save(folder / f"{name}.png")


class Measured:
    """Figures of clips as they come: VMAF is computed by other processes meanwhile."""

    def __init__(self):
        self.rows, self.waiting = [], []
        self.pool = concurrent.futures.ThreadPoolExecutor(8)

    def add(self, row, out, truth):
        row |= dict(zip(("flicker", "temporal"), flicker(out, truth)), psnr=psnr(mse(out, truth)))
        self.rows.append(row)
        self.waiting.append((row, self.pool.submit(vmaf, out, truth)))

    def finish(self):
        for row, result in self.waiting:
            row["vmaf"], row["ssim"] = result.result()
        return self.rows


def clips(folder, ways, frames, crops):
    done = Measured()
    for name, (w, h, fps) in CLIPS.items():
        whole = read_clip(folder / name, FIRST + frames)
        kinds = {name.split(".")[0]: whole} | ({"night": night(whole)} if name == "vtest.avi" else {})
        for label, truth in kinds.items():
            scales = sorted({s for s, _ in ways.values()})
            for scale in scales:
                goal = truth if scale > 1 else np.stack([shrunk(f, 2) for f in truth])
                small = np.stack([shrunk(f, max(2, scale)) for f in truth])
                small = small[:, :small.shape[1] // 2 * 2, :small.shape[2] // 2 * 2]
                goal = goal[:, :small.shape[1] * scale, :small.shape[2] * scale]
                for rate in RATES if scale < 4 else RATES[:3]:
                    coded, bits = (small, 0) if rate == "none" else common.coded(small, "libx264", common.live264(rate), fps)
                    if scale == 1:
                        done.add(dict(clip=label, rate=rate, kbps=bits / 1000, scale=1, method="input"), coded[FIRST:], goal[FIRST:])
                    shown = []
                    for method, (s, f) in ways.items():
                        if s != scale:
                            continue
                        out = np.stack([f(np.ascontiguousarray(x)) for x in coded[FIRST:]])
                        shown.append(out[-1])
                        done.add(dict(clip=label, rate=rate, kbps=bits / 1000, scale=scale, method=method), out, goal[FIRST:])
                    if crops and rate in ("none", "crf 28"):
                        strip(crops, f"{label}-x{scale}-{rate.replace(' ', '')}", coded[-1], goal[-1], shown)
                    print(label, scale, rate, flush=True)
    return done.finish()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("what", choices=("pack", "run"))
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--frames", type=int, default=24)
    args.add_argument("--crops", type=pathlib.Path)
    args.add_argument("models", nargs="*")
    args = args.parse_intermixed_args()
    if args.what == "pack":
        return pack(args.folder, args.out)
    ways = {}
    for m in args.models:
        ways[pathlib.Path(m).stem] = network(m, args.threads)
    for scale in sorted({s for s, _ in ways.values()} - {1}):
        suffix = "" if scale == 2 else f" x{scale}"
        ways = {"bicubic" + suffix: (scale, pil(Image.BICUBIC, scale)), "lanczos" + suffix: (scale, pil(Image.LANCZOS, scale))} | ways
    if args.crops:
        args.crops.mkdir(parents=True, exist_ok=True)
    result = {"pictures": pictures(args.folder, ways), "frames": args.frames}
    args.out.write_text(json.dumps(result))
    result["clips"] = clips(args.folder, ways, args.frames, args.crops)
    args.out.write_text(json.dumps(result, indent=0))


if __name__ == "__main__":
    main()
