"""What the documentation says of configuration and command line, written from the product itself.

`make reference` writes it. The texts are the product's: those of a key stand below it in `proxy/config`, those of a
command and its options in `proxy/cli.py` and `proxy/commands`. Where they go is marked in the pages, and what is around
the marks is written by hand. In reading order: `places` (marks in a page), `configuration`, `commands`, `pages` (which
page has what); `outside` is for the site, which has pages from outside of `docs/` too.
"""
