"""The networks that one run trains: those that ship, and those that show why."""
import dataclasses

from network import Shape


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    shape: Shape
    clean: float = 0.3        # share of clean pairs; the rest are frames of simulated cameras
    rate: float = 1e-3        # learning rate
    expand: int = 2           # extra parameters during training (network.Folded); 0: none
    int8: bool = False        # train an int8 twin at the end

    @property
    def group(self):
        """Networks of one group see the same batches: scale, share of clean pairs, crop (small pixels), batch."""
        wide = self.shape.features >= 64
        crop = {1: 64, 2: 128 if wide else 96, 4: 128}[self.shape.unshuffle]
        return self.shape.scale, self.clean, crop, 24 if wide else 40

    @property
    def half(self):
        return self.shape.features >= 64


def job(name, shape, **keys):
    return Job(name, Shape.parse(shape), **keys)


JOBS = [
    # CPU
    job("16x3", "16x3"),
    job("24x3", "24x3"),
    job("32x2", "32x2", int8=True),
    job("32x3", "32x3"),
    job("32x4", "32x4", int8=True),
    job("48x3", "48x3", rate=7e-4, int8=True),
    job("24x3-plain", "24x3", expand=0, rate=2e-3),
    job("16x3-clean", "16x3", clean=1.0),
    job("24x3-clean", "24x3", clean=1.0),
    job("32x2-clean", "32x2", clean=1.0, int8=True),
    job("32x4-clean", "32x4", clean=1.0, int8=True),
    job("48x3-clean", "48x3", clean=1.0, rate=7e-4, int8=True),
    job("restore-32x2", "32x2*1"),
    job("restore-32x4", "32x4*1", int8=True),
    # GPU
    job("64x5", "64x5", rate=4e-4),
    job("64x5-clean", "64x5", rate=4e-4, clean=1.0),
    job("128x8q", "128x8@4", rate=3e-4),
    job("128x8", "128x8", rate=3e-4, clean=0.4, expand=0),
    job("x4-128x4", "128x4@1*4", rate=3e-4, clean=0.4, expand=0),
    job("restore-128x10q", "128x10@4*1", rate=3e-4, expand=0),
]
