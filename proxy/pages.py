"""What a person sees who asks with a browser: an operation that is under way, and an error.

Small pages that need nothing from elsewhere, and may load nothing: Content-Security-Policy names the one style and the
one script by their hashes. Without scripts a page refreshes itself; with them it waits on a long poll, so that the
result is there as soon as it can be, and outlives a restart of the proxy.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from string import Template
from typing import Final

from proxy.estimate import Estimate
from proxy.message import Field
from proxy.operation import Operation
from proxy.words import timestamp

_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 42rem; margin: 12vh auto 2rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
progress { width: 100%; height: .75rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; }
"""

# HEAD, because the result is for the page after this one. Where the poll is not held, Retry-After says when to ask again.
_SCRIPT: Final = """
const pause = (seconds) => new Promise((resume) => setTimeout(resume, 1000 * seconds));
const ask = () => fetch(location, { method: "HEAD", headers: { Prefer: "wait=5" }, cache: "no-store" });

async function untilSomethingIsNew() {
    for (;;) {
        const began = Date.now();
        try {
            const answer = await ask();
            if (answer.status !== 202 || answer.headers.has("AsyncResult")) return true;
            if (Date.now() - began < 4000) await pause(answer.headers.get("Retry-After"));
            return false;
        } catch {
            await pause(2);
        }
    }
}

untilSomethingIsNew().then((done) => {
    if (done) document.querySelector("main").replaceChildren(document.querySelector("template").content);
    location.reload();
});
"""

_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
$head</head>
<body>
<main>
<h1>$title</h1>
$content</main>
$foot</body>
</html>
""")

_REFRESHES: Final = Template("""<noscript><meta http-equiv="refresh" content="$seconds"></noscript>
""")

# Where the browser saves the result to a file, this page stays; then it is to say so.
_WATCHES: Final = f"""<template>
<h1>Done</h1>
<p>The result is shown here, or was saved by your browser. <a href="">Open it again</a></p>
</template>
<script>{_SCRIPT}</script>
"""


def of_operation(operation: Operation, estimate: Estimate) -> bytes:
    """The page of an operation that is not settled; it refreshes itself when it may be asked for again.

    What was asked is shown without its query: who has the status URL need not know what is in it.
    """
    asked = f"{operation.request.method} {operation.request.url}"
    since = timestamp(operation.created, "seconds")
    facts = _facts(
        ("Asked", escape(asked)),
        ("Since", f'<time datetime="{since}">{since[:10]} {since[11:-1]} UTC</time>'),
        ("Status", escape(estimate.words)),
    )
    title = "Working on it" if operation.is_running else "Waiting for its turn"
    head = _REFRESHES.substitute(seconds=estimate.retry_after)
    foot = "<p>The result will appear here by itself. This page may be closed, and its address opened later.</p>\n"
    return _page(title, _bar(estimate) + facts + foot, head=head, foot=_WATCHES)


def of_problem(document: Mapping[str, object]) -> bytes:
    """The page of a problem document, with the same facts."""
    title, status, detail, code, asked = (
        escape(str(document[member])) for member in ("title", "status", "detail", "code", "instance")
    )
    return _page(title, f"<p>{detail}</p>\n" + _facts(("Status", status), ("Code", code), ("Asked for", asked)))


def _page(title: str, content: str, *, head: str = "", foot: str = "") -> bytes:
    page = _PAGE.substitute(title=title, style=_STYLE, content=content, head=head, foot=foot)
    return page.encode("utf-8", "replace")  # targets need not be UTF-8


def _bar(estimate: Estimate) -> str:
    if estimate.size is None or estimate.done is None:
        return '<progress aria-label="Progress"></progress>\n'
    return f'<progress aria-label="Progress" value="{estimate.done}" max="{estimate.size}"></progress>\n'


def _facts(*facts: tuple[str, str]) -> str:
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in facts)
    return f"<dl>\n{lines}</dl>\n"


def _hashed(text: str) -> bytes:
    """As CSP names what may stand in a page."""
    return b"'sha256-%b'" % b64encode(sha256(text.encode()).digest())


_POLICY: Final = (
    b"default-src 'none'; style-src %b; script-src %b; connect-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
) % (_hashed(_STYLE), _hashed(_SCRIPT))

# What a page needs to be one, and to do no harm. That it is at a status URL, a capability, is told nobody.
FIELDS: Final[tuple[Field, ...]] = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)
