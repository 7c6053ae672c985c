"""A client that knows what a 202 promises: asks once, follows the status URL, and brings the result home whole.

In reading order: `order` (what is asked for, and of whom), `terms` (how), `ending` (how it ends: exit codes, which are curl's),
`following` (what an answer means for an operation), `output` (where the result goes: exactly, and whole or not at all),
`progress` (what a terminal shows meanwhile), `asking` (requests, on aiohttp's client), `pursuit` (from a status
URL to the outcome), `download` (content that survives broken connections), `errand` (all of it together).

It is a client and no proxy, so it follows redirects of status URLs, and it works with any server that answers 202 and
names a status URL. Whoever that leads to, credentials stay at the origin that they were given for.
"""

from proxy.fetch.ending import Ended
from proxy.fetch.errand import run
from proxy.fetch.order import Order, content_of, field, order_for
from proxy.fetch.terms import Terms

__all__ = ["Ended", "Order", "Terms", "content_of", "field", "order_for", "run"]
