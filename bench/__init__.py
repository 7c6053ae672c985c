"""`make bench`: what the proxy costs, beside what one would take instead, on this machine and in one run.

In reading order: `machine` (its cores, its programs), `running` (processes that are started and ended), `contenders`,
`origin`, `naive` and `bare` (servers of our own to measure with and against), `wrk`, `client` and `bulk` (three kinds of
load), `operator` (who watches), `rounds` (figures, and the contenders in turn), `cases/` (what is measured), `goals` (what is wanted), `results`,
`plots` and `document` (how it is told). `smoke` is `make bench-smoke`: instructions instead of seconds.
"""
