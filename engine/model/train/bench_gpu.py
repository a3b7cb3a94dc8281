#!/usr/bin/env python3
"""Times models on one NVIDIA GPU with ONNX Runtime's TensorRT provider: float16, frames on the device, one CUDA graph.

Usage: python3 bench_gpu.py OUT.json [--luma FOLDER] MODEL.onnx ...       (needs onnxruntime-gpu and TensorRT 10)

Input 1920x1080 at scale 1 and 2, 960x540 at scale 4. Also the largest and mean difference from the CPU's float32 result on a real
frame (a .png of FOLDER), and the time of the engine's build.
"""
import json
import os
import pathlib
import sys
import tempfile
import time

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def frame(folder, w, h):
    from PIL import Image
    y = np.asarray(Image.open(sorted(pathlib.Path(folder).glob("*.png"))[0]).convert("L"))
    return np.tile(y, (h // y.shape[0] + 1, w // y.shape[1] + 1))[:h, :w][None, None].copy()


def measure(path, folder, graph=True):
    import onnxruntime as ort
    cpu = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    scale = int(cpu.get_modelmeta().custom_metadata_map["scale"])
    w, h = (960, 540) if scale == 4 else (1920, 1080)
    x = frame(folder, w, h)
    name_in, name_out = cpu.get_inputs()[0].name, cpu.get_outputs()[0].name
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    begin = time.time()
    with tempfile.TemporaryDirectory() as cache:
        s = ort.InferenceSession(path, options, providers=[("TensorrtExecutionProvider", {
            "device_id": 0, "trt_fp16_enable": True, "trt_cuda_graph_enable": graph, "trt_builder_optimization_level": 3,
            "trt_timing_cache_enable": True, "trt_timing_cache_path": cache})])
        feed = ort.OrtValue.ortvalue_from_numpy(x, "cuda", 0)
        out = ort.OrtValue.ortvalue_from_shape_and_type([1, 1, h * scale, w * scale], np.uint8, "cuda", 0)
        binding = s.io_binding()
        binding.bind_ortvalue_input(name_in, feed)
        binding.bind_ortvalue_output(name_out, out)
        s.run_with_iobinding(binding)
        built = time.time() - begin
        for _ in range(30):
            s.run_with_iobinding(binding)
        times = []
        for _ in range(300):
            t = time.perf_counter()
            s.run_with_iobinding(binding)
            times.append((time.perf_counter() - t) * 1e3)
    small = x[:, :, :272, :480].copy()  # the CPU's answer on a corner; its inner borders do not count
    want = cpu.run(None, {name_in: small})[0][0, 0].astype(int)
    got = out.numpy()[0, 0, :want.shape[0], :want.shape[1]].astype(int)
    d = np.abs(want - got)[:-64 * scale, :-64 * scale]
    return {"ms": float(np.median(times)), "fastest tenth": float(np.percentile(times, 10)), "build s": built, "size": f"{w}x{h}",
            "scale": scale, "largest difference": int(d.max()), "mean difference": float(d.mean()), "graph": graph}


def main():
    out, folder, models = sys.argv[1], sys.argv[3], sys.argv[4:]
    results = {}
    for m in models:
        for graph in (True, False):
            try:
                results[pathlib.Path(m).stem] = measure(m, folder, graph)
                break
            except Exception as e:  # a model that the provider refuses is a result too
                results[pathlib.Path(m).stem] = {"error": str(e)[-400:]}
        print(pathlib.Path(m).stem, results[pathlib.Path(m).stem], flush=True)
        pathlib.Path(out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
