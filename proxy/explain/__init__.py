"""What the proxy would do with a request, and why, without doing it.

`parser`, `target`, `routes`, `plan` and `fields` are asked for their decisions as they are for a real one.

In reading order: `imagined` (a request that nobody has sent), `verdict` (what is decided about it), `terms` (which
deadlines and limits it meets, in order of time), `telling` (all that as text and as JSON, without secrets).
"""

from proxy.explain.imagined import Imagined, imagine
from proxy.explain.telling import as_json, as_text
from proxy.explain.verdict import Explanation, explain

__all__ = ["Explanation", "Imagined", "as_json", "as_text", "explain", "imagine"]
