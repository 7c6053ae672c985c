"""Writes what is generated of the documentation: `make reference`, or `python -m reference`."""

from reference.pages import write

write()
