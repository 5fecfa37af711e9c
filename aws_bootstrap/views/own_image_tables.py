"""The tables of images that were baked."""

from __future__ import annotations

from ..models import ImageRemovals, OwnImageList
from .table import Columns, Table, tables

_IMAGES: Columns = {
    "image_id": "Image",
    "name": "Name",
    "region": "Region",
    "state": "State",
    "created": "Created",
    "size_gb": "GB",
    "monthly_cost_usd": "USD/month at most",
    "source": "Baked from",
    "setup_files": "Setup's files",
    "owner": "Owner",
    "yours": "Yours",
}
_REMOVED: Columns = {
    "image_id": "Image",
    "name": "Name",
    "region": "Region",
    "deregistered": "Deregistered",
    "snapshots_deleted": "Snapshots deleted",
    "error": "Error",
}


@tables.register
def own_image_tables(result: OwnImageList) -> list[Table]:
    """Return the images."""
    return [Table(_IMAGES, result.images)]


@tables.register
def image_removal_tables(result: ImageRemovals) -> list[Table]:
    """Return what was removed."""
    return [Table(_REMOVED, result.removed)]
