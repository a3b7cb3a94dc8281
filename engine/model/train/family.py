"""The networks that one run trains."""
import dataclasses

from network import Shape


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    shape: Shape
    clean: float = 0.6        # share of clean pairs; the rest are frames of simulated cameras
    rate: float = 8e-4        # learning rate
    expand: int = 2           # extra parameters during training (network.Folded); 0: none

    @property
    def group(self):
        """Networks of one group see the same batches: scale, share of clean pairs, crop (small pixels), batch."""
        wide = self.shape.features >= 64
        crop = {1: 80, 2: 128 if wide else 96, 4: 160}[self.shape.unshuffle]
        return self.shape.scale, self.clean, crop, 24 if wide else 40

    @property
    def half(self):
        return self.shape.features >= 64


def job(name, shape, **keys):
    return Job(name, Shape.parse(shape), **keys)


JOBS = [
    # CPU
    job("16x3-mix", "16x3"),
    job("24x3-mix", "24x3"),
    job("32x2-mix", "32x2"),
    job("32x4-mix", "32x4"),
    job("32x4-more", "32x4", clean=0.8),
    job("48x4-mix", "48x4", rate=6e-4),
    # GPU
    job("64x5-mix", "64x5", rate=4e-4),
]
