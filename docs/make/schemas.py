"""Generate the JSON Schemas of docs/schemas/v1 from the results themselves, so that a key is listed in one place.

    python docs/make/schemas.py

writes them. `tests/test_schemas.py` fails if they are stale. Keys may be added to a version, never renamed or removed.
"""

from __future__ import annotations

import json
import types
from dataclasses import is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from aws_bootstrap import models
from aws_bootstrap.models import ErrorReport, Result
from aws_bootstrap.models.base import Listing, ordered_fields

FOLDER = Path(__file__).parents[2] / "docs" / "schemas" / "v1"

#: The result of each command, by the name of its schema. To document one more command, add one more line here.
DOCUMENTS: dict[str, type[Result]] = {
    "access": models.AccessReport,
    "bake": models.BakeReport,
    "attach": models.AttachReport,
    "cluster-attach": models.ClusterJobReport,
    "cluster-cancel": models.ClusterCancelReport,
    "cluster-logs": models.ClusterLogReport,
    "cluster-prepare": models.ClusterPrepareReport,
    "cluster-test": models.ClusterTestReport,
    "cluster-run": models.ClusterJobReport,
    "cleanup": models.CleanupReport,
    "cleanup-dry-run": models.CleanupPlan,
    "cluster-export": models.ClusterExport,
    "cluster-launch": models.ClusterLaunchReport,
    "cluster-launch-dry-run": models.ClusterDryRun,
    "cluster-status": models.ClusterStatus,
    "cluster-status-all": models.ClusterList,
    "cluster-terminate": models.ClusterTermination,
    "completion": models.CompletionScript,
    "config-init": models.ConfigChange,
    "config-set": models.ConfigChange,
    "config-show": models.ConfigReport,
    "config-trust": models.ConfigTrust,
    "costs": models.CostReport,
    "cp": models.CopyReport,
    "forward": models.ForwardReport,
    "image-ls": models.OwnImageList,
    "image-rm": models.ImageRemovals,
    "exec": models.ExecReport,
    "launch": models.LaunchReport,
    "launch-dry-run": models.DryRun,
    "list-amis": models.ImageList,
    "list-instance-types": models.InstanceTypeList,
    "open": models.OpenReport,
    "logs": models.LogReport,
    "ps": models.RunList,
    "prices": models.PriceReport,
    "quota-history": models.QuotaHistory,
    "quota-request": models.QuotaRequests,
    "quota-show": models.QuotaReport,
    "run": models.RunReport,
    "rename": models.RenameReport,
    "setup": models.SetupReport,
    "extend": models.ExtendReport,
    "ssh": models.SshReport,
    "start": models.StartReport,
    "status": models.StatusReport,
    "sync": models.SyncReport,
    "volume-create": models.VolumeReport,
    "volume-grow": models.GrowReport,
    "volume-ls": models.VolumeList,
    "volume-restore": models.VolumeReport,
    "volume-rm": models.RemoveReport,
    "volume-snapshot": models.SnapshotReport,
    "stop": models.StopReport,
    "terminate": models.TerminateReport,
}

_SCALARS: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return every schema, by the name of its file."""
    return {name: _document(kind) for name, kind in DOCUMENTS.items()} | {"error": _failure()}


def _document(kind: type[Result]) -> dict[str, Any]:
    """Return the schema of a result's document. If the command failed half way, an object also has `error`."""
    defs: dict[str, Any] = {}
    if issubclass(kind, Listing):
        body = _type(get_type_hints(kind)[ordered_fields(kind)[0].name], defs)
    else:
        body = _object(kind, defs)
        body["properties"]["error"] = _type(ErrorReport, defs)
    return _whole(kind.__doc__, body, defs)


def _failure() -> dict[str, Any]:
    """Return the schema of the document of a command that failed before it had a result."""
    defs: dict[str, Any] = {}
    body = _object(Result, defs)
    body["properties"]["error"] = _type(ErrorReport, defs)
    body["required"].append("error")
    return _whole("What a command that failed says, whatever the command.", body, defs)


def _whole(about: str | None, body: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "description": about}
    return head | body | {"$defs": dict(sorted(defs.items()))}


def _object(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    hints, shown = get_type_hints(kind), [f for f in ordered_fields(kind) if not f.metadata.get("private")]
    return {
        "type": "object",
        "properties": {f.name: _field(hints[f.name], f.metadata.get("optional"), defs) for f in shown},
        "required": [f.name for f in shown if not f.metadata.get("optional")],
        "additionalProperties": False,
    }


def _field(hint: Any, is_optional: Any, defs: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema. An optional key is left out instead of being null."""
    kinds = [k for k in _choices(hint) if not (is_optional and k is type(None))]
    choices = [_type(k, defs) for k in kinds]
    if len(choices) == 1:
        return choices[0]
    return {"anyOf": choices}


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _type(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        if name not in defs:
            defs[name] = {}
            defs[name] = {"description": hint.__doc__} | _object(hint, defs)
        return {"$ref": f"#/$defs/{name}"}
    if get_origin(hint) is Literal:
        return {"type": "string"}  # EC2 may have more words one day, and each is shown as it comes
    if get_origin(hint) in (tuple, list):
        return {"type": "array", "items": _type(get_args(hint)[0], defs)}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _type(get_args(hint)[1], defs)}
    raise TypeError(f"no schema for {hint}")


def text(schema: dict[str, Any]) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / f"{name}.json").write_text(text(schema))
