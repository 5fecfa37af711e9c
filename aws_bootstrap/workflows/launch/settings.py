"""The settings of a launch, kept so that `relaunch` can repeat it: in tags, and in the box's block of the SSH config.

They are the options of `launch` as words in one line. Nothing in them is secret.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ...config import LaunchConfig
from .words import option_words

if TYPE_CHECKING:
    from .plan import LaunchPlan

#: Of the launch alone, not of the box: the alias is the name, and the data volume is found again by its tag.
_WITHOUT = ("name", "ebs_volume_id")


def line_of(plan: LaunchPlan) -> str:
    """Return the settings of the launch in one line; empty where every option has its default."""
    config: LaunchConfig = plan.config
    words = option_words(config, without=_WITHOUT)
    if not config.region:
        words += ["--region", plan.first.region]
    return shlex.join(words)
