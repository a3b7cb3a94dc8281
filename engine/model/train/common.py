"""What preparation, training and evaluation share: luma, resampling kernels, H.264 round trips, test pictures."""
import functools
import subprocess

import numpy as np

# The six test pictures: never used for training (nor are the two clips' originals).
TEST_PICTURES = {
    "flower.png": "libjxl-testdata",
    "Bridge_by_Sander_Klootwijk.jpg": "lomiri-wallpapers-16.04",
    "seeding_by_Clements_Engelhardt.jpg": "lomiri-wallpapers-16.04",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": "lomiri-wallpapers-16.04",
    "greentock_by_Peter_Nerlich.jpg": "lomiri-wallpapers-16.04",
    "Kleiber_by_Lukas_Baubkus.jpg": "lomiri-wallpapers-20.04",
}
TEST_CLIPS = {"vtest.avi": "opencv-doc", "cockatoo.mp4": "python3-imageio"}


def luma(rgb, matrix="601"):
    """uint8 [H,W,3] -> float32 [H,W]: Y of BT.601 or BT.709 in limited range (16..235), not rounded."""
    kr, kb = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}[matrix]
    weights = np.array([kr, 1 - kr - kb, kb], np.float32) * (219 / 255)
    return rgb.astype(np.float32) @ weights + 16


def to_bytes(x):
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _sampled(kind, scale):
    """Taps of a resampling filter that shrinks by an even `scale`, centre-aligned: an even number of them, sum 1."""
    support = {"area": 0.5, "bilinear": 1, "bicubic": 2, "lanczos": 3}[kind]
    half = int(np.ceil(support * scale))
    x = (np.arange(-half, half) + 0.5) / scale
    a = np.abs(x)
    if kind == "area":
        w = (a < 0.5).astype(np.float64)
    elif kind == "bilinear":
        w = np.maximum(0, 1 - a)
    elif kind == "bicubic":  # a = -0.5, as PIL
        w = np.where(a < 1, 1.5 * a**3 - 2.5 * a**2 + 1, np.where(a < 2, -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2, 0))
    else:
        w = np.where(a < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return w / w.sum()


@functools.cache
def shrink_taps(kind, sigma=0.0, scale=2):
    """Taps of one pass of: Gaussian blur of `sigma` (large pixels), then shrinking by `scale` with filter `kind`."""
    taps = _sampled(kind, scale)
    if sigma > 0:
        r = int(np.ceil(3 * sigma))
        g = np.exp(-0.5 * (np.arange(-r, r + 1) / sigma) ** 2)
        taps = np.convolve(taps, g / g.sum())
    return taps.astype(np.float32)


def ffmpeg():
    import imageio_ffmpeg
    return imageio_ffmpeg.get_ffmpeg_exe()


def coded(frames, codec, options, fps=25):
    """uint8 luma [N,H,W], sides even -> the same after an encoder and its decoder (flat chroma), and bits per second.

    codec: "libx264" or "libx265"; options: FFmpeg's, as a list of strings."""
    n, h, w = frames.shape
    chroma = np.full(h * w // 2, 128, np.uint8).tobytes()
    raw = b"".join(f.tobytes() + chroma for f in frames)
    size = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{w}x{h}", "-r", str(fps)]
    quiet = [ffmpeg(), "-nostdin", "-loglevel", "error", "-threads", "1"]
    kind = {"libx264": "h264", "libx265": "hevc"}[codec]
    stream = subprocess.run(quiet + size + ["-i", "-", "-c:v", codec, *options, "-threads", "1", "-f", kind, "-"],
                            input=raw, stdout=subprocess.PIPE, check=True).stdout
    out = subprocess.run(
        quiet + ["-f", kind, "-i", "-", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"],
        input=stream, stdout=subprocess.PIPE, check=True).stdout
    planes = np.frombuffer(out, np.uint8).reshape(n, h * 3 // 2, w)[:, :h]
    return planes, len(stream) * 8 * fps / n


def live264(rate):
    """x264's options as live cameras use it: no B-frames, no look-ahead. rate: "crf 28" or "500k" (with a buffer of one second)."""
    control = ["-crf", rate.split()[1]] if rate.startswith("crf") else ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]
    return ["-preset", "veryfast", "-tune", "zerolatency", "-bf", "0", "-g", "50", *control]
