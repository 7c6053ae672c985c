"""Writes the JSON Schema of the configuration: `python -m proxy.config > config/schema.json`."""

import json
import sys

from proxy.config.jsonschema import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
