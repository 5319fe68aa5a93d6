"""Whether the installed packages fit together: what each requires, against what is there."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vpar_cache.workflows.doctor.check import LIBRARY_FAILURES, Check, in_one_line

OURS = "vpar-cache"
_SHOWN = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "h5py")
"""Packages whose versions are shown where all is well."""
_FOR_DEVELOPERS = ("dev", "docs", "test")
"""Extras that no command needs."""
_PAIR = "install both in one call, so that they fit: pip install --force-reinstall torch torchvision"


def check_packages(name: str = OURS) -> Check:
    """Return whether what `name` needs is installed, in versions that fit, and so on for what that needs.

    A requirement of `name` itself that is not met fails; one of another package is a warning. Extras are apart.
    """
    own = _find(name)
    if own is None:
        return Check("packages", "warning", f"{name} is not installed, so its needs are not known: pip install .")
    waiting, seen = [own], {canonicalize_name(name)}
    unmet: list[tuple[str, Requirement]] = []
    while waiting:
        package = waiting.pop()
        for requirement in _requirements(package):
            found = _find(requirement.name)
            if found is None or not _fits(found, requirement):
                unmet.append((package.name, requirement))
            elif (key := canonicalize_name(requirement.name)) not in seen:
                seen.add(key)
                waiting.append(found)
    if unmet:
        problems = "; ".join(f"{who} needs {_asked(wanted)}, and {_state(wanted)}" for who, wanted in unmet)
        fix = " ".join(dict.fromkeys(f"'{_asked(wanted)}'" for _, wanted in unmet))
        fails = any(who == own.name for who, _ in unmet)
        return Check("packages", "fails" if fails else "warning", f"{problems}: pip install {fix}")
    versions = ", ".join(f"{package.name} {package.version}" for package in map(_find, _SHOWN) if package)
    return Check(
        "packages",
        "ok",
        f"{name} {own.version} and the {len(seen) - 1} packages that it needs fit together: {versions}; Python "
        f"{platform.python_version()}",
    )


def check_extras(name: str = OURS) -> Check:
    """Return which extras of `name` are installed; a part of one, or a version that does not fit, is a warning."""
    own = _find(name)
    if own is None:
        return Check("extras", "ok", f"not known, since {name} is not installed")
    there, absent, partly = [], [], []
    for extra in own.metadata.get_all("Provides-Extra") or ():
        wanted = list(_requirements(own, extra))
        if extra in _FOR_DEVELOPERS or not wanted:
            continue
        unmet = [w for w in wanted if (found := _find(w.name)) is None or not _fits(found, w)]
        if not unmet:
            there.append(extra)
        elif any(_find(w.name) for w in wanted):
            partly.append(f"{extra} needs {', '.join(f'{_asked(w)}, and {_state(w)}' for w in unmet)}")
        else:
            absent.append(extra)
    parts = [f"installed: {', '.join(there) or 'none'}"]
    if absent:
        parts.append(f"not installed: {', '.join(absent)} (pip install '.[{','.join(absent)}]' adds them)")
    if partly:
        parts.append(f"in part: {'; '.join(partly)} (pip install '.[{','.join(p.split()[0] for p in partly)}]')")
    return Check("extras", "warning" if partly else "ok", "; ".join(parts))


def check_torch() -> Check:
    """Return whether torch and torchvision can be imported and compute together."""
    try:
        import torch
    except LIBRARY_FAILURES as error:
        return Check("torch", "fails", f"torch cannot be imported ({in_one_line(error)}); {_PAIR}")
    try:
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [4.0, 4.0, 6.0, 6.0]])  # (3, 4)
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()  # (3,) scores, 2 kept
    except LIBRARY_FAILURES as error:
        return Check(
            "torch",
            "fails",
            f"torch {torch.__version__} and torchvision {_version('torchvision')} do not belong together "
            f"({in_one_line(error)}); {_PAIR}",
        )
    both = f"torch {torch.__version__} and torchvision {torchvision.__version__}"
    builds = {version.partition("+")[2] for version in (torch.__version__, torchvision.__version__)}
    if kept != [0, 2]:
        return Check("torch", "fails", f"{both} give a wrong result; {_PAIR}")
    if len(builds - {""}) > 1:
        return Check("torch", "warning", f"{both} are builds for different devices; {_PAIR}")
    return Check("torch", "ok", f"{both} belong together")


def _requirements(package: Distribution, extra: str = "") -> Iterator[Requirement]:
    """Yield what a package requires on this machine; with `extra`, only what that adds."""
    for requirement in map(Requirement, package.requires or ()):
        marker = requirement.marker
        is_plain = marker is None or marker.evaluate({"extra": ""})
        is_of_extra = marker is not None and not is_plain and marker.evaluate({"extra": extra})
        if is_of_extra if extra else is_plain:
            yield requirement


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _version(name: str) -> str:
    found = _find(name)
    return "(not installed)" if found is None else found.version


def _fits(found: Distribution, wanted: Requirement) -> bool:
    """Return whether the installed version is allowed; a pre-release that somebody installed counts too."""
    return wanted.specifier.contains(found.version, prereleases=True)


def _asked(wanted: Requirement) -> str:
    """Return name and versions, as pip takes them."""
    return f"{wanted.name}{wanted.specifier}"


def _state(wanted: Requirement) -> str:
    found = _find(wanted.name)
    return "it is missing" if found is None else f"{found.version} is installed"
