"""The networks that one run trains."""
import dataclasses

from network import Shape


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    shape: Shape
    clean: float = 0.8        # share of clean pairs; the rest are frames of simulated cameras
    rate: float = 6e-4        # learning rate
    still: float = 1.5        # weight of what changes between two frames of a still clip: few pixels do
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
    job("32x2-calm", "32x2"),
    job("32x4-calm", "32x4"),
    job("restore-48x4", "48x4*1", clean=0.2, still=0.5),  # for int8; clean pairs: what there is nothing to do to
    # GPU
    job("64x5-calm", "64x5", rate=4e-4),
    job("64x5-clean", "64x5", clean=1.0, rate=3e-4),
    job("128x8-calm", "128x8", rate=3e-4),
    job("x4-128x4", "128x4@1*4", clean=0.6, rate=3e-4, still=0.5),
    job("restore-128x4", "128x4*1", clean=0.2, rate=4e-4, still=0.5),
]
