"""The machine: cards and their driver, what precision auto chooses, how many threads may compute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from vpar_cache.base.cores import usable_cores
from vpar_cache.base.devices import explain_device, resolve_device, resolve_precision
from vpar_cache.workflows.doctor.check import LIBRARY_FAILURES, Check, in_one_line

_ROOT = Path("/")
"""Where /proc and /sys lie."""
_NVIDIA, _DISPLAY = "0x10de", "0x03"
"""The maker and the kind of a card, as the PCI bus gives them."""
_SECONDS = 10
"""That nvidia-smi may take."""
_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def check_device(name: str) -> Check:
    """Return what a device name of the command line resolves to, with a product computed on it.

    Raises UserError where this machine has no such device.
    """
    import torch

    explained = explain_device(name).removeprefix("device: ")
    device = resolve_device(name)
    try:
        ones = torch.ones(8, 8, device=device)  # (8, 8)
        right = float((ones @ ones).sum()) == 8**3
    except LIBRARY_FAILURES as error:
        return Check(
            "device",
            "fails",
            f"{explained}: torch {torch.__version__} cannot compute on it ({in_one_line(error)}); install a torch "
            "that was built for this card and driver (pytorch.org lists them), or use --device cpu",
        )
    if not right:
        return Check("device", "fails", f"{explained}: a product of small matrices is wrong; use --device cpu")
    if device.type == "cuda":
        free, total = (count / 2**30 for count in torch.cuda.mem_get_info(device))
        driver = driver_version()
        return Check(
            "device",
            "ok",
            f"{explained}; {free:.1f} of {total:.1f} GiB free; {f'driver {driver}, ' if driver else ''}torch "
            f"{torch.__version__} for CUDA {torch.version.cuda}",
        )
    cards = find_cards()
    if name != "auto" or not cards:
        return Check("device", "ok", explained)
    if torch.version.cuda is None and torch.version.hip is None:
        fix = "install a CUDA build of torch and torchvision (pytorch.org gives the command)"
    elif not driver_version():
        fix = "install NVIDIA's driver, or give this container access to the card"
    else:
        fix = "look at the reason: a driver that is too old, a variable that hides the card, or no right to it"
    return Check("device", "warning", f"{explained}, but this machine has {cards}: {fix}")


def find_cards() -> str:
    """Return the NVIDIA cards of this machine in words, whether torch can use them or not; empty without any."""
    known = [
        match[1].strip()
        for path in sorted(_ROOT.glob("proc/driver/nvidia/gpus/*/information"))
        if (match := re.search(r"^Model:(.*)$", _text(path), re.MULTILINE))
    ]
    if known := known or _ask_nvidia_smi("name"):
        return ", ".join(known)
    on_bus = [
        path
        for path in _ROOT.glob("sys/bus/pci/devices/*")
        if _text(path / "vendor").strip() == _NVIDIA and _text(path / "class").startswith(_DISPLAY)
    ]
    return "" if not on_bus else "an NVIDIA card" if len(on_bus) == 1 else f"{len(on_bus)} NVIDIA cards"


def driver_version() -> str:
    """Return the version of NVIDIA's driver, empty where there is none."""
    match = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", _text(_ROOT / "proc/driver/nvidia/version"))
    if match:
        return match[1]
    told = _ask_nvidia_smi("driver_version")
    return told[0] if told else ""


def _ask_nvidia_smi(field: str) -> list[str]:
    """Return a field of each card; none where the program is absent or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def check_precision(precision: str, name: str) -> Check:
    """Return which precision the encoder computes in on the device of this name."""
    device = resolve_device(name)
    chosen = resolve_precision(precision, device)
    where = "card" if device.type == "cuda" else "processor" if device.type == "cpu" else "GPU of this Mac"
    if precision != "auto":
        native = resolve_precision("auto", device) == "bf16"
        slow = chosen == "bf16" and not native
        text = f"{chosen}, as --precision says"
        return Check(
            "precision",
            "warning" if slow else "ok",
            f"{text}; the {where} only emulates it, which is slower than fp32: use auto" if slow else text,
        )
    why = (
        f"the {where} computes it natively" if chosen == "bf16" else f"the {where} does not compute bf16 natively"
    )
    return Check("precision", "ok", f"--precision auto chooses {chosen}, since {why}")


def check_threads() -> Check:
    """Return how many cores this process may use and how many threads torch computes on."""
    import torch

    machine, usable = os.cpu_count() or 1, usable_cores()
    threads = min(torch.get_num_threads(), usable)
    cores = f"{usable} of {machine} cores may be used"
    if usable < machine:
        cores += " (affinity, a quota of the cgroup, or Slurm's limit)"
    text = f"{cores}; torch computes on {threads} {'thread' if threads == 1 else 'threads'}"
    limits = [f"{name}={os.environ[name]}" for name in _THREAD_LIMITS if name in os.environ]
    if threads >= usable or not limits:
        return Check("threads", "ok", text)
    return Check(
        "threads", "warning", f"{text}, since {' and '.join(limits)}: unset that, or raise it to {usable}"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
