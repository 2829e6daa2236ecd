"""Stage folders of a run: built under another name, then renamed; reused while nothing changed.

    RUN/mine/            a finished stage: its files and manifest.json
    RUN/mine.partial/    one that is being built, or was killed; the same stage continues in it
    RUN/.lock            locked while a process builds, and holds its id; the file itself stays

A stage is *stale* when its key changes: the hash of its inputs, its config and FORMAT.
"""

import fcntl
import json
import logging
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whet import __version__
from whet.errors import ArtifactError, ConfigError
from whet.files import MANIFEST, SCRATCH, digest, folder_digest, read_json, write_json

FORMAT = 1
VECTORS = "vectors"  # of texts, in a run: computed again where they are missing
LOCK = ".lock"

RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "numpy",
    "faiss-cpu",
    "bm25s",
    "ir-measures",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished stage.

    `fingerprint` is the hash of its files, `seconds` the time that it took to build; `skipped` says
    that it was up to date.
    """

    path: Path
    fingerprint: str
    seconds: float
    skipped: bool


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes from writing in a run's folder meanwhile. Not to be nested.

    The operating system frees the lock however the process ends, so a killed process leaves none.
    Where files cannot be locked (some network drives) this does nothing.

    Raises ConfigError when another process holds the lock, and where no folder can be made.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"no run can be written in {run} ({error.strerror}); give another --out"
        ) from error
    with (run / LOCK).open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConfigError(_locked_message(run, file.read())) from error
        except OSError:
            pass  # a drive without locks
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def clean(run: Path) -> int:
    """Delete what a run can compute again: vectors, and scratch files of stages.

    Results, teachers' scores and replies that were paid for stay. Returns the bytes freed. Raises
    ConfigError while another process builds here.
    """
    with locked(run):
        folders = [run / VECTORS]
        for name in (SCRATCH, VECTORS):
            folders += run.glob(f"*.partial/**/{name}")
        files: set[Path] = set()  # one folder may lie in another: each file counts once
        for folder in folders:
            files.update(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return size


def _locked_message(run: Path, process: str) -> str:
    name = f"another process of whet ({process})" if process else "another process of whet"
    kill = f" (kill {process})" if process else ""
    return (
        f"{run}: {name} is building in this folder, and only one can. Wait for its end, or stop it"
        f"{kill}, and run the same command again; or give another --out."
    )


def run_stage(
    run: Path,
    name: str,
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    build: Callable[[Path], None],
) -> Artifact:
    """Build `RUN/name` unless it is up to date; returns the finished stage.

    `inputs` maps names to fingerprints. `config` holds the settings that shape the result. `build`
    writes the stage's files into the folder that it gets. After a kill, a build with the same key
    gets the folder as it was left. Files under `scratch/` are deleted when the stage is done.
    """
    folder = run / name
    partial = run / f"{name}.partial"
    key = digest(FORMAT, dict(inputs), dict(config))
    finished = _finished(folder, key)
    if finished is not None:
        logger.info(f"{name}: up to date")
        return finished
    if partial.exists() and _manifest(partial).get("key") == key:
        logger.info(f"{name}: continues where it was stopped")
    else:
        shutil.rmtree(partial, ignore_errors=True)
        changed = _changed(_manifest(folder), {"inputs": inputs, "config": config})
        if changed:
            names = ", ".join(changed)
            logger.info(f"{name}: built again because {names} changed; replaces the old result")
    partial.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "stage": name,
        "key": key,
        "inputs": dict(inputs),
        "config": dict(config),
        "whet": __version__,
    }
    write_json(partial / MANIFEST, manifest)
    started = time.time()
    build(partial)
    shutil.rmtree(partial / SCRATCH, ignore_errors=True)
    manifest["versions"] = _versions()
    manifest["fingerprint"] = folder_digest(partial)
    manifest["seconds"] = round(time.time() - started, 2)
    manifest["finished"] = time.strftime("%FT%TZ", time.gmtime())
    manifest["peak_memory_mb"] = peak_memory_mb()
    write_json(partial / MANIFEST, manifest)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return Artifact(folder, manifest["fingerprint"], manifest["seconds"], skipped=False)


def peak_memory_mb() -> int:
    """The most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    units_per_mb = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes here
    return round(peak / units_per_mb)


def _changed(manifest: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of inputs and settings that differ from those of a finished stage.

    >>> _changed({"finished": "", "config": {"seed": 1}}, {"config": {"seed": 2}})
    ['seed']
    """
    if "finished" not in manifest:
        return []
    changed = []
    for part, values in parts.items():
        recorded = manifest.get(part, {})
        for name, value in values.items():
            if recorded.get(name) != _after_json(value):
                changed.append(name)
    return changed


def _after_json(value: Any) -> Any:
    """A value as it comes back from a JSON file: tuples are lists."""
    return json.loads(json.dumps(value))


def _finished(folder: Path, key: str) -> Artifact | None:
    manifest = _manifest(folder)
    if manifest.get("key") != key or "fingerprint" not in manifest:
        return None
    if folder_digest(folder) != manifest["fingerprint"]:
        logger.warning(f"{folder}: its files were changed by hand; the stage is built again")
        return None
    return Artifact(folder, manifest["fingerprint"], manifest["seconds"], skipped=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a stage folder; empty where there is none that can be read."""
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST)
    except ArtifactError:
        return {}
    return manifest


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
