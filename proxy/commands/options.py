"""What several commands take, and their exit codes."""

from pathlib import Path
from typing import Final

import click

DEFAULT_CONFIG: Final = Path("config/proxy.yaml")
FIELD: Final = "NAME: VALUE"
FILE: Final = click.Path(path_type=Path)

BAD_CONFIGURATION: Final = 1
CANNOT_START: Final = 3
