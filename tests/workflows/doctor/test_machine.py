"""Cards, precision and threads, on a machine that is described by a small /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vpar_cache.errors import UserError
from vpar_cache.workflows.doctor import machine
from vpar_cache.workflows.doctor.machine import (
    check_device,
    check_precision,
    check_threads,
    driver_version,
    find_cards,
)

DRIVER = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (dvs-builder)
GCC version:  gcc version 13.3.0
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any card, and without nvidia-smi."""
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return tmp_path


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def add_to_bus(root: Path, number: int, vendor: str, kind: str) -> None:
    folder = root / f"sys/bus/pci/devices/0000:0{number}:00.0"
    write(folder / "vendor", f"{vendor}\n")
    write(folder / "class", f"{kind}\n")


def test_without_a_card_the_cpu_is_no_fault(system: Path) -> None:
    add_to_bus(system, 1, "0x8086", "0x030000")  # another maker's
    add_to_bus(system, 2, "0x10de", "0x040300")  # the sound of a card
    assert find_cards() == driver_version() == ""
    check = check_device("auto")
    assert check.state == "ok"
    assert check.text.startswith("cpu")


def test_a_card_without_a_driver_is_a_warning(system: Path) -> None:
    add_to_bus(system, 1, "0x10de", "0x030200")
    add_to_bus(system, 3, "0x10de", "0x030000")
    check = check_device("auto")
    assert check.state == "warning"
    assert "2 NVIDIA cards: install NVIDIA's driver" in check.text
    assert check_device("cpu").state == "ok", "who asks for the CPU needs no card"


def test_a_cpu_build_of_torch_beside_a_card_is_named(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(system / "proc/driver/nvidia/version", DRIVER)
    write(system / "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA H200\nIRQ: 1\n")
    monkeypatch.setattr(torch.version, "cuda", None)
    check = check_device("auto")
    assert check.state == "warning"
    assert "NVIDIA H200" in check.text
    assert "built without CUDA" in check.text
    assert "CUDA build" in check.text


def test_cards_and_driver_are_also_told_by_nvidia_smi(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = '#!/bin/sh\ncase "$1" in *name) echo A100; echo T4;; *) echo 550.1;; esac\n'
    write(system / "bin/nvidia-smi", answer, 0o755)
    assert (find_cards(), driver_version()) == ("A100, T4", "550.1")
    write(system / "bin/nvidia-smi", "#!/bin/sh\nexit 9\n", 0o755)
    assert (find_cards(), driver_version()) == ("", "")
    write(system / "proc/driver/nvidia/version", DRIVER)
    assert driver_version() == "580.82.07"


def test_a_card_that_was_asked_for_and_is_missing_fails(system: Path) -> None:
    with pytest.raises(UserError, match="--device cuda:0 is missing"):
        check_device("cuda:0")


def test_a_device_that_cannot_compute_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "ones", broken)
    check = check_device("cpu")
    assert check.state == "fails"
    assert "no kernel image" in check.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_card_is_shown_with_memory_driver_and_cuda() -> None:
    check = check_device("cuda:0")
    assert check.state == "ok"
    assert all(part in check.text for part in ("GiB free", f"driver {driver_version()}", str(torch.version.cuda)))


@pytest.mark.parametrize("native", [True, False])
def test_precision_says_what_auto_chooses_and_why(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    auto, asked = check_precision("auto", "cpu"), check_precision("bf16", "cpu")
    assert auto.state == "ok"
    assert f"chooses {'bf16' if native else 'fp32'}" in auto.text
    assert asked.state == ("ok" if native else "warning")
    with pytest.raises(UserError, match="fp16"):
        check_precision("fp16", "cpu")


def test_a_variable_that_leaves_cores_idle_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    check = check_threads()
    assert check.state == "warning"
    assert "8 of 64 cores" in check.text
    assert "OMP_NUM_THREADS=1" in check.text
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    check = check_threads()
    assert check.state == "ok"
    assert "on 8 threads" in check.text, "an extraction lowers them to the cores that it may use"
