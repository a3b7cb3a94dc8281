#!/usr/bin/env python3
"""Writes docs/models.md from the figures of training runs (results.json beside this file).

Usage: python3 report.py collect FOLDER ...     gathers each run's train.json, cpu.json, gpu.json and m-*.json into results.json,
                                                a later run's figures over an earlier one's
       python3 report.py write                  docs/models.md (make model-report)
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[2] / "docs" / "models.md"
RATES = ("crf 23", "crf 28", "crf 33", "1000k", "500k", "250k")
# Shipped name -> name in the training runs. live-x2 is of the recipe before both.
SHIPPED = {"live-x2-xs": "16x3-mix", "live-x2": "live-x2", "live-x2-s": "32x2-mix", "live-x2-m": "32x4-mix", "live-x2-l": "64x5-mix",
           "live-x2-xs-clean": "16x3-clean", "live-x2-s-clean": "32x4-clean-int8", "live-x2-m-clean": "48x3-clean-int8",
           "live-x2-l-clean": "64x5-clean"}
INT8 = ("-int8", "-ptq")    # trained with int8's rounding; only rounded


def timed_as(name):
    """The name under which a network's time stands: time is the shape's."""
    shape = {"live-x2": "24x3"}.get(name, name.split("-")[0])
    return shape + ("-int8" if name.endswith(INT8) else "")


def collect(folders):
    out = {"runs": [], "cpu": {}, "gpu": {}, "pictures": {}, "clips": {}}
    for folder in folders:
        def read(name, folder=folder):
            return json.loads(path.read_text()) if (path := folder / name).exists() else {}
        out["runs"].append(read("train.json"))
        out["cpu"] |= {timed_as(k.removesuffix(".onnx")): v for k, v in read("cpu.json").items()}
        out["gpu"] |= {timed_as(k): v for k, v in read("gpu.json").items() if "ms" in v}
        for path in sorted(folder.glob("m-*.json")):
            part = json.loads(path.read_text())
            out["pictures"] |= part["pictures"]
            for r in part["clips"]:
                key = "/".join((r["clip"], r["rate"], f"x{r['scale']}", r["method"]))
                out["clips"][key] = {k: round(v, 4) for k, v in r.items() if isinstance(v, float)}
    RESULTS.write_text(json.dumps(out, indent=0, sort_keys=True))


class Figures:
    def __init__(self, data):
        self.data = data
        self.clips = data["clips"]

    def over(self, method, key, clips, rates, reference="lanczos", scale=2):
        """The method's figures less the reference's: a list."""
        return [self.clips[f"{c}/{r}/x{scale}/{method}"][key] - self.clips[f"{c}/{r}/x{scale}/{reference}"][key] for c in clips for r in rates]

    def mean(self, *args, **keys):
        values = self.over(*args, **keys)
        return sum(values) / len(values)

    def pictures(self, method, reference="bicubic"):
        def mean(m):
            return sum(self.data["pictures"][m].values()) / len(self.data["pictures"][m])
        return mean(method) - mean(reference)

    def flicker(self, method, rate, clip="vtest"):
        return self.clips[f"{clip}/{rate}/x2/{method}"]["flicker"] / self.clips[f"{clip}/{rate}/x2/lanczos"]["flicker"]

    def cpu(self, name):
        found = self.data["cpu"].get(timed_as(name))
        return f"{found[1]:.2f}" if found else "–"

    def gpu(self, name):
        found = self.data["gpu"].get(timed_as(name))
        return f"{found['ms']:.2f}" if found else "–"

    def network(self, name):
        """What the runs say of a network: the float one's entry for those in int8. None: of no run."""
        plain = name.removesuffix("-int8").removesuffix("-ptq")
        return next((r["networks"][plain] for r in self.data["runs"] if plain in r["networks"]), None)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in r) + " |" for r in rows]) + "\n"


def row(f, label, method):
    both, all3 = ("vtest", "cockatoo"), ("vtest", "cockatoo", "night")
    worst = min(f.over(method, "psnr", all3, RATES))
    return (label, f"{f.pictures(method):+.2f}", *(f"{f.mean(method, 'psnr', (c,), ('crf 28',)):+.2f}" for c in all3),
            f"{f.mean(method, 'psnr', both, RATES):+.2f}", f"{worst:+.2f}", f"{f.mean(method, 'ssim', both, RATES):+.4f}",
            f"{f.mean(method, 'vmaf', both, RATES):+.2f}", f"{f.flicker(method, 'crf 28'):.2f}", f.cpu(method), f.gpu(method))


HEAD = ("network", "pictures", "security, CRF 28", "hand-held, CRF 28", "night, CRF 28", "both, all rates", "worst point", "SSIM", "VMAF NEG", "flicker",
        "CPU ×", "GPU ms")


def candidates(f):
    found = {n: f.network(n) for n in f.data["pictures"]}
    found = {n: w for n, w in found.items() if w and "*" not in w["shape"]}

    def label(n, w):
        return (w["shape"] + (", int8" if n.endswith("-int8") else ", int8, only rounded" if n.endswith("-ptq") else "")
                + ("" if w["expand"] else ", not expanded"))
    return table(("shape", "clean share", "kMAC/pixel", *HEAD[1:]), [
        (label(n, w), f"{w['share']:.0%}", f"{w['macs'] / 1000:.1f}", *row(f, n, n)[1:])
        for n, w in sorted(found.items(), key=lambda i: (i[1]["macs"], i[1]["share"], i[0]))])


def restoration(f):
    rows = []
    for m in ("restore-32x2", "restore-32x4", "restore-32x4-int8", "restore-128x10q"):
        for clip in ("vtest", "cockatoo", "night"):
            rows.append((m, clip, *(f"{v:+.2f}" for r in RATES for v in f.over(m, "psnr", (clip,), (r,), "input", 1)),
                         f"{f.clips[f'{clip}/none/x1/{m}']['psnr']:.1f}"))
    return table(("network", "clip", *RATES, "uncoded input: dB from it"), rows)


def times_four(f):
    return table(("clip", "rate", "bicubic", "Lanczos", "128x4"), [
        (c, r, *(f"{f.clips[f'{c}/{r}/x4/{m}']['psnr']:.2f}" for m in ("bicubic x4", "lanczos x4", "x4-128x4")))
        for c in ("vtest", "cockatoo", "night") for r in ("none", "crf 23", "crf 28")])


def write():
    f = Figures(json.loads(RESULTS.read_text()))
    text = (HERE / "models.md.in").read_text()
    def said(run):
        return f"{run['steps']} steps in {run['seconds']:.0f} s on one {run['device']}, recipe {run['recipe']}"
    parts = {"SHIPPED": table(HEAD, [row(f, n, n) for n in ("bicubic",)] + [row(f, f"`{n}`", m) for n, m in SHIPPED.items()]),
             "CANDIDATES": candidates(f), "RESTORATION": restoration(f), "TIMES4": times_four(f),
             "CROPS": "".join(f"{p.stem}:\n\n![crops](models/{p.name})\n\n" for p in sorted((PAGE.parent / "models").glob("*.png"))),
             "RUNS": "; ".join(said(run) for run in f.data["runs"])}
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    PAGE.write_text(text)


def main():
    if sys.argv[1:2] == ["collect"]:
        collect([pathlib.Path(a) for a in sys.argv[2:]])
    elif sys.argv[1:] == ["write"]:
        write()
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
