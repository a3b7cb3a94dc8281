#!/usr/bin/env python3
"""Packs the training photographs: luma, sharp at one pixel, into one archive of about 30 MB.

Usage: python3 prepare.py FOLDER OUT.zip      FOLDER: the photograph packages, unpacked (see README.md)

sharp/NNN.webp is a whole picture, shrunk by Lanczos to about 1.2 megapixels, so that its finest detail is one pixel wide,
as a good camera's is; soft/NNN.webp is a piece of the same picture at its own size, where photographs are soft. Time stamps are burnt
into every third picture. What cameras and encoders make of them is made at training time, from a fixed seed (degrade.py).
"""
import io
import pathlib
import sys
import zipfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import common

SHARP = 1.2e6         # pixels of a picture
SOFT = 576            # side of a piece at full size
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


def fitted(picture):
    """Luma of the picture, shrunk to SHARP pixels by Lanczos (never enlarged), sides multiples of 8."""
    k = min(1.0, (SHARP / (picture.width * picture.height)) ** 0.5)
    w, h = (int(s * k) // 8 * 8 for s in picture.size)
    return picture if k == 1 else picture.resize((w, h), Image.LANCZOS)


def soft(picture, rng):
    """The most detailed of four random pieces of SOFT pixels a side at the picture's own size, or None if it is small."""
    if picture.width * picture.height < 2.5 * SHARP:
        return None
    best, kept = -1, None
    for _ in range(4):
        l, t = rng.integers(0, picture.width - SOFT + 1), rng.integers(0, picture.height - SOFT + 1)
        piece = np.asarray(picture.crop((l, t, l + SOFT, t + SOFT)))
        detail = np.abs(np.diff(common.luma(piece))).mean()
        if detail > best:
            best, kept = detail, piece
    return kept


def caption(y, rng):
    """Burns cameras' time stamps into a copy of the picture."""
    image = Image.fromarray(y)
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        text = f"{rng.integers(2015, 2030)}-{rng.integers(1, 13):02}-{rng.integers(1, 29):02} " \
               f"{rng.integers(24):02}:{rng.integers(60):02}:{rng.integers(60):02} CAM {rng.integers(1, 99)}"
        white = bool(rng.integers(2))
        place = rng.integers(0, image.width // 2), rng.integers(0, image.height - 48)
        draw.text(place, text, fill=235 if white else 16, font=ImageFont.load_default(int(rng.integers(14, 40))),
                  stroke_width=int(rng.integers(0, 3)), stroke_fill=16 if white else 235)
    return np.asarray(image)


def main():
    folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    rng = np.random.default_rng(2026)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        def put(name, rgb, stamped):
            y = common.to_bytes(common.luma(np.asarray(rgb), rng.choice(["601", "709"])))
            y = y[:y.shape[0] // 8 * 8, :y.shape[1] // 8 * 8]
            data = io.BytesIO()
            Image.fromarray(caption(y, rng) if stamped else y).save(data, "WEBP", lossless=True, quality=20, method=1)
            archive.writestr(name, data.getvalue())
        for n, path in enumerate(find(folder)):
            picture = Image.open(path).convert("RGB")
            piece = soft(picture, rng)
            put(f"sharp/{n:03}.webp", fitted(picture), n % 3 == 0)
            if piece is not None:
                put(f"soft/{n:03}.webp", piece, False)
            print(n, path.name, flush=True)


if __name__ == "__main__":
    main()
