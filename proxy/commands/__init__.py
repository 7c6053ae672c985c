"""The commands with many options, one module each: what they take, and their help. What they do is elsewhere.

`explain`, `fetch` and `operations` are commands; `options` is what several of them take, and `values` what the value of
an option may be; all of them write to `standard_output`. Of `operations`, `ids` and `filters` are the two ways to say which are meant, `service` is whom it asks,
and with which token, and `completing` what a shell is told of the answers. What a command needs is imported when it runs,
so that help and completion answer at once.
"""

from proxy.commands.explain import explain
from proxy.commands.fetch import fetch
from proxy.commands.operations import operations

__all__ = ["explain", "fetch", "operations"]
