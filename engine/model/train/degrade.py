"""What cameras and encoders make of the photographs: short clips that move over them, really encoded, whole.

Tiles of many clips stand side by side in one video (a mosaic), so that one encode serves dozens; training keeps off their edges.
Everything is drawn from a fixed seed. Luma only: how chroma is subsampled does not touch it.
"""
import concurrent.futures
import io
import zipfile

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import common

TILE, ROWS, COLS, FRAMES = 192, 4, 6, 8
# How a camera shrinks: filter and blur before it (in large pixels).
KINDS = [("bicubic", 0.0), ("area", 0.0), ("lanczos", 0.0), ("bilinear", 0.0), ("area", 0.4), ("bicubic", 0.5)]
CHANCES = [0.34, 0.2, 0.16, 0.12, 0.08, 0.1]
HELD_OUT = 16  # every 16th picture is for the printed figures only


class Atlas:
    """All pictures in one flat uint8 tensor, and what each kind of shrinking gives with a block starting at each pixel."""

    def __init__(self, path, device, scales=(2, 4), every=1):
        archive = zipfile.ZipFile(path)
        names = sorted(archive.namelist())[::every]
        data = [archive.read(n) for n in names]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            images = list(pool.map(lambda b: np.asarray(Image.open(io.BytesIO(b)).convert("L")), data))
        self.device = device
        self.height = torch.tensor([i.shape[0] for i in images], device=device)
        self.width = torch.tensor([i.shape[1] for i in images], device=device)
        sizes = np.array([i.size for i in images])
        self.start = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]])).to(device)
        self.flat = torch.from_numpy(np.concatenate([i.ravel() for i in images])).to(device)
        self.held = np.array([int(n.split("/")[1][:3]) % HELD_OUT == HELD_OUT - 1 for n in names])
        self.sizes = sizes
        self.shrunk = {s: torch.stack([self._filtered(images, k, b, s) for k, b in KINDS]) for s in scales}

    def _filtered(self, images, kind, sigma, scale):
        taps = torch.from_numpy(common.shrink_taps(kind, sigma * scale / 2, scale)).to(self.device)
        before = len(taps) // 2 - scale // 2
        out = []
        for i in images:
            x = torch.from_numpy(i.astype(np.float32)).to(self.device)[None, None]
            x = F.pad(x, [before, len(taps) - 1 - before] * 2, mode="replicate")
            x = F.conv2d(F.conv2d(x, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
            out.append(x.round().clamp(0, 255).byte().flatten())
        return torch.cat(out)

    def places(self, side, count, held, rng):
        """Places of squares of `side` large pixels, an int tensor [count,3] of picture, y, x: the more detail, the likelier (its root)."""
        weights = np.where(self.held == held, self.sizes, 0).astype(np.float64)
        picture = rng.choice(len(weights), 4 * count, p=weights / weights.sum())
        height, width = self.height.cpu().numpy()[picture], self.width.cpu().numpy()[picture]
        y, x = ((rng.random(4 * count) * (s - side + 1)).astype(int) for s in (height, width))
        detail = np.zeros(4 * count)
        for p in np.unique(picture):
            h, w = int(self.height[p]), int(self.width[p])
            image = self.flat[int(self.start[p]):int(self.start[p]) + h * w].view(h, w).double()
            change = (4 * image[1:-1, 1:-1] - image[:-2, 1:-1] - image[2:, 1:-1] - image[1:-1, :-2] - image[1:-1, 2:]).abs()
            total = F.pad(change, [2, 1, 2, 1]).cumsum(0).cumsum(1).cpu().numpy()
            of = picture == p
            t, l = y[of], x[of]
            detail[of] = total[t + side, l + side] - total[t, l + side] - total[t + side, l] + total[t, l]
        root = np.sqrt(detail / side**2 + 0.5)
        kept = rng.choice(4 * count, count, p=root / root.sum())
        return torch.from_numpy(np.stack([picture, y, x], 1)[kept]).to(self.device)

    def large(self, picture, y, x):
        """Pixels of the pictures: indices [B], [B,H], [B,W] -> uint8 [B,H,W]"""
        return self.flat[self._index(picture, y, x)]

    def small(self, scale, kind, picture, y, x):
        """Pixels of the shrunk pictures whose blocks start at large pixels y, x; kind [B]"""
        return self.shrunk[scale][kind[:, None, None], self._index(picture, y, x)]

    def _index(self, picture, y, x):
        return (self.start[picture][:, None] + y * self.width[picture][:, None])[:, :, None] + x[:, None, :]


def _settings(rng, n, restore):
    """Codec and options of mosaic n: two thirds H.264 as cameras send it, the rest H.265 and H.264 with B-frames; CRF or a bitrate."""
    area = TILE * TILE * ROWS * COLS
    # Bits per pixel as 180 to 1300 kb/s give at 640x360 and 25 frames/s. Restoration learns where there is something to restore (from
    # 250 to 800 kb/s, CRF 26 to 37), and from one mosaic in three what to leave alone.
    low, high = (0.043, 0.14) if restore else (0.03, 0.22)
    if n % 3 == 2:
        rate = f"{int(np.exp(rng.uniform(np.log(low), np.log(high))) * area * 25 / 1000)}k"
        control = ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]
    elif restore:
        control = ["-crf", str(rng.integers(6, 27) if n % 3 == 0 else rng.integers(26, 38))]
    else:
        control = ["-crf", str(rng.integers(17, 35))]
    if n % 4 == 1:
        preset = ["-preset", str(rng.choice(["ultrafast", "superfast", "veryfast"])), "-x265-params",
                  "bframes=0:rc-lookahead=0:keyint=50:log-level=none:pools=none:frame-threads=1"]
        return "libx265", preset + control
    if n % 8 == 3:
        return "libx264", ["-preset", "veryfast", "-bf", "2", "-g", "50", *control]
    return "libx264", ["-preset", str(rng.choice(["ultrafast", "superfast", "veryfast", "veryfast", "medium"])), "-tune", "zerolatency",
                       "-bf", "0", "-g", "50", *control]


class Clips:
    """Encoded mosaics on the device and where each of their tiles came from; for restoration also what the encoder was fed."""

    def __init__(self, atlas, scale, count, seed, held=False, restore=False):
        rng = np.random.default_rng(seed)
        per = ROWS * COLS
        fits = ((atlas.height.cpu().numpy() >= scale * TILE) & (atlas.width.cpu().numpy() >= scale * TILE) & (atlas.held == held))
        weights = np.where(fits, np.sqrt(atlas.sizes), 0)
        shape = (count, per)
        picture = rng.choice(len(weights), shape, p=weights / weights.sum())
        still, slow = rng.random(shape) < 0.35, rng.random(shape) < 0.5
        speed = [np.where(still, 0, np.where(slow, rng.integers(-3, 4, shape), rng.integers(-14, 15, shape))) for _ in "yx"]
        places = []
        for v, side in zip(speed, (atlas.height, atlas.width)):
            space = side.cpu().numpy()[picture] - scale * TILE
            v[...] = np.sign(v) * np.minimum(np.abs(v), space // FRAMES)
            low, high = np.maximum(0, -v * (FRAMES - 1)), space - np.maximum(0, v * (FRAMES - 1))
            places.append((low + rng.random(shape) * (high - low + 1)).astype(int))
        self.kind = rng.choice(len(KINDS), shape, p=CHANCES)
        # Noise, blur and halos that the goal lacks teach smoothing: there are few of them.
        self.noise = np.where(rng.random(shape) < 0.65, 0, rng.choice([0.7, 1.2, 2.0, 3.0], shape, p=[0.4, 0.35, 0.2, 0.05]))
        self.smeared = rng.random(shape) < 0.3       # noise that the camera's own filter has blurred
        self.halo = np.where(rng.random(shape) < 0.05, rng.uniform(0.2, 0.6, shape), 0)  # the camera's own sharpening
        dev = atlas.device
        self.picture = torch.from_numpy(picture).to(dev)
        frames = np.arange(FRAMES)
        self.y, self.x = (torch.from_numpy(p[..., None] + v[..., None] * frames).to(dev) for p, v in zip(places, speed))
        self.scale = scale
        settings = [_settings(rng, n, restore) for n in range(count)]
        generator = torch.Generator(device=dev).manual_seed(seed)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            mosaics, waiting = [], []
            for n in range(count):
                mosaics.append(self._mosaic(atlas, n, generator))
                waiting.append(pool.submit(common.coded, mosaics[n], *settings[n]))
            planes = [w.result() for w in waiting]
        # What restoration is to give back, noise and all: what an encoder took away, nothing else.
        self.fed = torch.from_numpy(np.stack(mosaics)).to(dev) if restore else None
        self.frames = torch.from_numpy(np.stack([p for p, _ in planes])).to(dev)
        self.bits = float(np.mean([b for _, b in planes])) / (25 * ROWS * COLS * TILE * TILE)
        self.kind = torch.from_numpy(self.kind).to(dev)
        self.every = torch.from_numpy(np.argwhere(np.ones(shape, bool))).to(dev)
        # Where nothing moves and little is noisy (nothing, where the goal is noisy too), what changes from frame to frame is the encoder's doing.
        calm = self.noise <= (0 if restore else 0.7)
        self.still = torch.from_numpy(np.argwhere((speed[0] == 0) & (speed[1] == 0) & calm)).to(dev)

    def _mosaic(self, atlas, n, generator):
        """uint8 [FRAMES, ROWS*TILE, COLS*TILE]: what the encoder is fed."""
        out = np.empty((FRAMES, ROWS * TILE, COLS * TILE), np.uint8)
        steps = torch.arange(TILE, device=atlas.device) * self.scale

        def column(values):
            return torch.from_numpy(values[n].astype(np.float32)).to(atlas.device)[:, None, None]
        kind = torch.from_numpy(self.kind[n]).to(atlas.device)
        for f in range(FRAMES):
            y, x = self.y[n, :, f][:, None] + steps, self.x[n, :, f][:, None] + steps
            s = atlas.small(self.scale, kind, self.picture[n], y, x).float()
            blurred = F.avg_pool2d(F.pad(s[:, None], [1] * 4, mode="replicate"), 3, 1)[:, 0]
            s = s + column(self.halo) * (s - blurred) * 2
            noise = torch.randn(s.shape, device=s.device, generator=generator)
            smooth = (noise + noise.roll(1, 1) + noise.roll(1, 2) + noise.roll((1, 1), (1, 2))) / 2
            s = s + column(self.noise) * torch.where(column(self.smeared) > 0, smooth, noise)
            s = s.round().clamp(0, 255).byte().view(ROWS, COLS, TILE, TILE).permute(0, 2, 1, 3)
            out[f] = s.reshape(ROWS * TILE, COLS * TILE).cpu().numpy()
        return out
