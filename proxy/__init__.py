"""A reverse proxy that gives any slow HTTP backend RFC 7240 `Prefer: respond-async`.

CONTRIBUTING.md has the map, a line for each module in reading order: values and decisions, without I/O; the machinery;
the service of several processes; the command line. A package tells of its own modules. Who may import whom is the table
of tests/test_layers.py.
"""

__version__ = "0.1.0"
