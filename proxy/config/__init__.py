"""The configuration: one YAML file, read once, checked whole, then frozen.

In reading order: `service`, `origins` and `routes` (every key, its type, its default, its meaning), `section` (what all
parts of it share), `scalars` and `addresses` (what a single value may be), `source` (YAML with line numbers and the
environment), `unreadable` (what to say of a file that is no YAML), `certificates` (what OpenSSL makes of the files
named), `loading` (a file becomes a `Config`, or one error that names everything wrong with it), `misplaced` (keys in
the wrong section), `oddities` (what is legal, and hardly meant), `findings` (all that there is to say about a file),
`reach` (routes that no request reaches), `secrecy` (which fields carry secrets), `jsonschema` (what editors complete
from).
"""

from proxy.config.addresses import Address, OriginUrl, StoreUrl
from proxy.config.jsonschema import json_schema
from proxy.config.loading import Loaded, UnusableFiles, load, load_to_serve, load_with_source
from proxy.config.origins import HealthCheck, OriginSettings, OriginTls
from proxy.config.routes import NEVER_LATER, FieldChanges, Match, RespondAsync, Route
from proxy.config.service import Config, Limits, LogSettings, ServerTls, StoreSettings, TracingSettings
from proxy.config.source import ConfigError, Problem

__all__ = [
    "NEVER_LATER",
    "Address",
    "Config",
    "ConfigError",
    "FieldChanges",
    "HealthCheck",
    "Limits",
    "Loaded",
    "LogSettings",
    "Match",
    "OriginSettings",
    "OriginTls",
    "OriginUrl",
    "Problem",
    "RespondAsync",
    "Route",
    "ServerTls",
    "StoreSettings",
    "StoreUrl",
    "TracingSettings",
    "UnusableFiles",
    "json_schema",
    "load",
    "load_to_serve",
    "load_with_source",
]
