"""Stage folders of a run: built aside, moved into place whole, skipped when nothing that they came from has changed.

    RUN/mine/            a finished stage: its files and manifest.json
    RUN/mine.partial/    one that is being built, or was killed; the next run of the same stage goes on in it
    RUN/.lock            locked while a process builds, with its id; the file itself stays

A stage is *stale* when its key changes: the hash of its inputs' fingerprints, its resolved config and FORMAT.
"""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whet import __version__
from whet.errors import ArtifactError, ConfigError
from whet.progress import say

FORMAT = 1
MANIFEST = "manifest.json"
SCRATCH = "scratch"
VECTORS = "vectors"  # of texts, in a run: computed again where they are missing
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished stage: where it lies, the hash of what it holds, how long it took (seconds), whether it was there."""

    path: Path
    fingerprint: str
    seconds: float
    skipped: bool


def digest(*parts: object) -> str:
    """A short stable hash of JSON-able parts (40 hex digits).

    >>> digest({"b": 1, "a": [1, 2]}) == digest({"a": [1, 2], "b": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def rolling_digest(parts: Iterable[object]) -> str:
    """The same kind of hash of many parts, one after the other, without holding them all."""
    seen = hashlib.sha256()
    for part in parts:
        seen.update(digest(part).encode("ascii"))
    return seen.hexdigest()[:40]


def file_digest(path: Path) -> str:
    """Hash of one file's bytes (40 hex digits)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:40]


def folder_digest(folder: Path) -> str:
    """Hash of every file below a folder, names included; the manifest and scratch files do not count."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    inside = [(path, path.relative_to(folder)) for path in files]
    return digest(
        [(name.as_posix(), file_digest(path)) for path, name in inside if SCRATCH not in name.parts]
    )


def source_digest(name: str | None) -> str:
    """Hash of the file or folder that a setting names; "" where it names neither, such as a hub id or nothing."""
    path = Path(name or os.devnull)
    return file_digest(path) if path.is_file() else folder_digest(path) if path.is_dir() else ""


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all (a neighbour file renamed into place)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    with aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, one row a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Read one JSON document; raises ArtifactError naming the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines written by whet; raises ArtifactError naming file and line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at U+2028
        return [json.loads(line) for line in lines if line]
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes from writing in a run's folder meanwhile. Not to be nested.

    The operating system frees the lock however the process ends, so a killed one leaves none behind. Where files cannot
    be locked (some network drives) this does nothing.

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
            raise ConfigError(_taken(run, file.read())) from error
        except OSError:
            pass  # a drive without locks
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def clean(run: Path) -> int:
    """Delete what a run can compute again, its vectors and the scratch files of stages; returns the bytes freed.

    Results, teachers' scores and replies that were paid for stay. Raises ConfigError while another process builds here.
    """
    with locked(run):
        found = [
            run / VECTORS,
            *(path for name in (SCRATCH, VECTORS) for path in run.glob(f"*.partial/**/{name}")),
        ]
        inside = {
            path for folder in found for path in folder.rglob("*")
        }  # once, where one lies in another
        size = sum(path.stat().st_size for path in inside if path.is_file())
        for folder in found:
            shutil.rmtree(folder, ignore_errors=True)
    return size


def _taken(run: Path, process: str) -> str:
    which = f"another process of whet ({process})" if process else "another process of whet"
    return (
        f"{run}: {which} is building in this folder, and only one can. Wait for its end, or stop it"
        f"{f' (kill {process})' if process else ''}, and run the same command again; or give another --out."
    )


def run_stage(
    run: Path,
    name: str,
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    build: Callable[[Path], None],
) -> Artifact:
    """Build `RUN/name` unless it is there and nothing changed; returns what stands there afterwards.

    `inputs` maps names to fingerprints, `config` is the resolved settings that shape the result, and `build` writes
    the stage's files into the folder that it is given. A folder left by a killed run with the same key is given to
    `build` as it was left; scratch files kept under `scratch/` there are deleted once the stage is done.
    """
    folder, partial = run / name, run / f"{name}.partial"
    key = _key(inputs, config)
    if (done := _finished(folder, key)) is not None:
        say(f"[dim]{name}: up to date[/dim]")
        return done
    if partial.exists() and _manifest(partial).get("key") == key:
        say(f"{name}: goes on from where it was stopped")
    else:
        shutil.rmtree(partial, ignore_errors=True)
        if changed := _changed(_manifest(folder), {"inputs": inputs, "config": config}):
            say(
                f"{name}: rebuilding because {', '.join(changed)} changed; the earlier result is replaced"
            )
    partial.mkdir(parents=True, exist_ok=True)
    start = {
        "stage": name,
        "key": key,
        "inputs": dict(inputs),
        "config": dict(config),
        "whet": __version__,
    }
    write_json(partial / MANIFEST, start)
    began = time.time()
    build(partial)
    shutil.rmtree(partial / SCRATCH, ignore_errors=True)
    seconds = round(time.time() - began, 2)
    fingerprint = folder_digest(partial)
    result = {
        "fingerprint": fingerprint,
        "seconds": seconds,
        "finished": time.strftime("%FT%TZ", time.gmtime()),
        "peak_memory_mb": peak_memory_mb(),
    }
    write_json(partial / MANIFEST, start | {"versions": _versions()} | result)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return Artifact(folder, fingerprint, seconds, skipped=False)


def run_stage_locked(
    run: Path,
    name: str,
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    build: Callable[[Path], None],
) -> Artifact:
    """`run_stage`, alone in the run's folder where there is something to build; for those who hold no lock."""
    if (done := _finished(run / name, _key(inputs, config))) is not None:
        return done
    with locked(run):
        return run_stage(run, name, inputs=inputs, config=config, build=build)


def _key(inputs: Mapping[str, str], config: Mapping[str, Any]) -> str:
    return digest(FORMAT, dict(inputs), dict(config))


def peak_memory_mb() -> int:
    """The most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def _changed(made: Mapping[str, Any], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the inputs and settings that differ from those of a finished stage; none where it is not finished.

    >>> _changed({"finished": "", "config": {"seed": 1}}, {"config": {"seed": 2}})
    ['seed']
    """
    if "finished" not in made:
        return []
    return [
        name
        for part, values in now.items()
        for name in values
        if made.get(part, {}).get(name) != _plain(values[name])
    ]


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def _finished(folder: Path, key: str) -> Artifact | None:
    manifest = _manifest(folder)
    if manifest.get("key") != key or "fingerprint" not in manifest:
        return None
    if folder_digest(folder) != manifest["fingerprint"]:
        say(
            f"[yellow]{folder}: its files were changed after they were written; building it again[/yellow]"
        )
        return None
    return Artifact(folder, manifest["fingerprint"], manifest["seconds"], skipped=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a stage folder; empty where there is none that can be read."""
    try:
        found: dict[str, Any] = read_json(folder / MANIFEST)
    except ArtifactError:
        return {}
    return found


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in (
        "torch",
        "transformers",
        "sentence-transformers",
        "numpy",
        "faiss-cpu",
        "bm25s",
        "ir-measures",
    ):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
