#!/usr/bin/env python3
"""Packs training pairs: sharp luma tiles and, for each, what three simulated cameras make of it at half the size.

Usage: python3 prepare.py FOLDER OUT.zip      FOLDER: the photograph packages, unpacked (see README.md)

Clean pairs need no file: training shrinks the sharp tiles itself. A camera frame is: a pan (or none) over the picture,
slight optical blur, shrinking, sensor noise, x264 without B-frames at a random crf; one frame out of the clip is kept.
"""
import io
import pathlib
import sys
import zipfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import common

TILE = 512            # sharp side
CAMERAS = 3           # camera frames a tile
PER_PICTURE = 5
Image.MAX_IMAGE_PIXELS = None

# Photographs (by eye: the packages also hold drawings) and, last, four drawings with hard edges.
PICTURES = """
Dragonfly_by_Bolly.jpg Picture_0B_by_freespace.jpg Picture_1A_by_freespace.jpg Wine_by_Jakkub_Mede.jpg
aitzgorri_by_Aitzol_Berasategi.jpg free_by_Peter_Nerlich.jpg friends_by_Aitzol_Berasategi.jpg
life_by_Aitzol_Berasategi.jpg sunset_by_Aitzol_Berasategi.jpg Butterfly-Kenneth-Wimer.jpg Valendas.png
after-the-rain.jpg appleflower.png beam.png butterfly.png cloud.png drop.png flowers.png fog.jpg
this-is-not-windows.jpg Aqua.jpg Blinds.jpg Dune.jpg FreshFlower.jpg Garden.jpg GreenMeadow.jpg LadyBird.jpg
RainDrops.jpg Storm.jpg TwoWings.jpg Wood.jpg YellowFlower.jpg cincinnati-bridge.jpg citrus-fruits.jpg
european-honey-bee.jpg panther-chameleon-female.jpg BytheWater/ ColdRipple/ ColorfulCups/ DarkestHour/ EveningGlow/
FallenLeaf/ Grey/ Kite/ OneStandsOut/ Path/ summer_1am/ Volna/ Canopee/ Patak/contents/images/ SafeLanding/
""".split()


def find(folder):
    """The largest file for each entry: a file name, or a folder of one wallpaper in several sizes."""
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in (".jpg", ".png") and p.is_file() and not p.is_symlink()]
    for entry in PICTURES:
        found = [p for p in files if (f"/{entry}" in str(p) if entry.endswith("/") else p.name == entry)
                 and "dark" not in str(p.parent)]
        if not found:
            raise SystemExit(f"{entry} is not under {folder}")
        path = max(found, key=lambda p: p.stat().st_size)
        assert path.name not in common.TEST_PICTURES
        yield path


def detail(y):
    """Mean absolute Laplacian: how much there is to learn from a tile."""
    return np.abs(4 * y[1:-1, 1:-1] - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:]).mean()


def tiles(picture, rng):
    """Up to PER_PICTURE places (detail, factor, y, x, scaled picture), out of random grids at scales 1, 1/2, 1/3."""
    y = common.luma(np.asarray(picture.convert("RGB")), rng.choice(["601", "709"]))
    found = []
    for factor in (1, 2, 3):
        h, w = (s // factor for s in y.shape)
        if min(h, w) < TILE:
            continue
        small = y if factor == 1 else y[:h * factor, :w * factor].reshape(h, factor, w, factor).mean((1, 3))
        oy, ox = rng.integers(0, (h - TILE) % TILE + 1), rng.integers(0, (w - TILE) % TILE + 1)
        # Full size is mostly soft: it needs more detail to be chosen.
        found += [(detail(small[t:t + TILE, l:l + TILE]) * (0.7 if factor == 1 else 1), factor, t, l, small)
                  for t in range(oy, h - TILE + 1, TILE) for l in range(ox, w - TILE + 1, TILE)]
    found.sort(key=lambda f: -f[0])
    best, rest = found[:PER_PICTURE - 2], found[PER_PICTURE - 2:]
    soft = [f for f in rest if f[1] == 1] or rest
    picks = rng.permutation(len(soft))[:2]  # and two of any kind at full size, where photographs are soft
    return best + [soft[i] for i in picks]


def caption(y, rng):
    """Burns a camera's time stamp into a copy of the picture, near the tile's corner."""
    image = Image.fromarray(common.to_bytes(y))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        text = f"{rng.integers(2015, 2030)}-{rng.integers(1, 13):02}-{rng.integers(1, 29):02} " \
               f"{rng.integers(24):02}:{rng.integers(60):02}:{rng.integers(60):02} CAM {rng.integers(1, 99)}"
        white = bool(rng.integers(2))
        draw.text((rng.integers(0, TILE // 2), rng.integers(0, TILE - 40)), text, fill=235 if white else 16,
                  font=ImageFont.load_default(int(rng.integers(14, 44))), stroke_width=int(rng.integers(0, 3)),
                  stroke_fill=16 if white else 235)
    return np.asarray(image).astype(np.float32)


def camera(y, top, left, rng):
    """One uint8 [TILE/2,TILE/2] frame of a clip that pans so that this frame shows exactly the tile."""
    keep = int(rng.choice([0, 2, 4, 7]))
    step = rng.integers(-8, 9, 2) if rng.random() < 0.6 else np.zeros(2, int)
    kind = rng.choice(["area", "bicubic", "bicubic", "lanczos", "bilinear"])
    sigma = float(rng.choice([0, 0, 0, 0.4, 0.6]))
    noise = float(rng.choice([0, 0, 0.7, 1.5, 2.5]))
    soft = rng.random() < 0.4  # noise that the camera's own filter has smeared
    clip = []
    for i in range(keep + 1):
        t, l = np.clip(np.array([top, left]) + step * (i - keep), 0, np.array(y.shape) - TILE)
        small = common.shrink(y[t:t + TILE, l:l + TILE], kind, sigma)
        n = rng.normal(0, noise, small.shape)
        if soft:
            n = (n + np.roll(n, 1, 0) + np.roll(n, 1, 1) + np.roll(n, (1, 1), (0, 1))) / 2
        clip.append(common.to_bytes(small + n))
    crf = int(rng.integers(17, 30))
    return common.h264(np.stack(clip), crf, rng.choice(["superfast", "veryfast", "medium"]))[0][keep]


def main():
    folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    rng = np.random.default_rng(2026)
    n = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        def put(name, image):
            data = io.BytesIO()
            Image.fromarray(image).save(data, "WEBP", lossless=True, quality=60, method=4)
            archive.writestr(name, data.getvalue())
        for path in find(folder):
            for _, factor, top, left, y in tiles(Image.open(path), rng):
                if rng.random() < 0.1:
                    y, top, left = caption(y[top:top + TILE, left:left + TILE], rng), 0, 0
                put(f"sharp/{n:03}.webp", common.to_bytes(y[top:top + TILE, left:left + TILE]))
                for c in range(CAMERAS):
                    put(f"camera{c}/{n:03}.webp", camera(y, top, left, rng))
                n += 1
            print(n, path.name, flush=True)


if __name__ == "__main__":
    main()
