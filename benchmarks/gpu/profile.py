"""Where the time goes: kernels, launches, and what the host does meanwhile."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from benchmarks.gpu.bench import Bench

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx",
            "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")  # fmt: skip
SHOWN = 12


def profile(bench: Bench, action: Callable[[], object]) -> dict[str, Any]:
    """Return milliseconds in all, those in which the GPU computed, and what took most of them."""
    cuda = bench.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    alone = bench.seconds(action)  # the profiler itself slows the host down
    with torch_profile(activities=activities) as profiler:
        under_profiler = bench.seconds(action)
    events = profiler.key_averages()
    kernels = [event for event in events if event.device_type != torch.autograd.DeviceType.CPU]
    host = [event for event in events if event.device_type == torch.autograd.DeviceType.CPU]
    longest = sorted(kernels, key=lambda event: -event.self_device_time_total)[:SHOWN]
    busiest = sorted(host, key=lambda event: -event.self_cpu_time_total)[:SHOWN]
    return {
        "ms": round(1000 * alone, 1),
        "ms_under_profiler": round(1000 * under_profiler, 1),
        "gpu_ms": round(sum(event.self_device_time_total for event in kernels) / 1000, 1),
        "kernels": sum(event.count for event in kernels),
        "launches": {event.key: event.count for event in host if event.key in LAUNCHES},
        "longest_kernels_ms": {
            event.key[:90]: (round(event.self_device_time_total / 1000, 2), event.count)
            for event in longest
        },
        "busiest_host_ms": {
            event.key[:60]: (round(event.self_cpu_time_total / 1000, 2), event.count)
            for event in busiest
        },
    }
