"""Whether a finished run is of one making: its model and report come from its stages and recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whet.files import MANIFEST, read_json
from whet.run.folder import Run


def is_consistent(run: Run) -> bool:
    """Whether model and report of a finished run come from its present stages and recipe."""
    model_manifest = read_json(run.path / "model" / MANIFEST)
    if not _comes_from_stages(run.path, model_manifest["inputs"]):
        return False
    report_manifest_file = run.path / "report" / MANIFEST
    if not report_manifest_file.exists():
        return True
    report_manifest = read_json(report_manifest_file)
    config = report_manifest["config"]
    return (
        _comes_from_stages(run.path, report_manifest["inputs"])
        and config.get("model", run.base) == run.base
        and _is_same_recipe(config.get("recipe", {}), run.recipe.in_force())
    )


def _comes_from_stages(path: Path, inputs: Mapping[str, str]) -> bool:
    """Whether stage folders have the recorded fingerprints (stage name → fingerprint)."""
    for stage, fingerprint in inputs.items():
        if read_json(path / stage / MANIFEST)["fingerprint"] != fingerprint:
            return False
    return True


def _is_same_recipe(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether two recipes agree in all settings that both have; versions add and remove some."""
    for key in recorded.keys() & current.keys():
        before = recorded[key]
        now = current[key]
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            if not _is_same_recipe(before, now):
                return False
        elif before != now:
            return False
    return True
