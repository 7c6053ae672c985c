"""What operators see of the whole service, and may do to its operations.

In reading order: `refusal` (what they cannot have), `gate` (who is one), `filters` (what they ask for), `shown` (how an
operation looks to them), `report` (what processes tell of themselves), `hour` (figures of the last hour), `whole` (the
service over all its processes), `desk` (operations: listed, shown, dismissed), `survey` (all else), `backends` (servers
of origins, as a process sees them), `feed` (all of it as it changes), `page` (the files of the operator page),
`responses` (how it is answered), `resources` (what can be asked, and by which methods). `admin` has the table of these.

Nothing here shows credentials, content, queries, or more of an operation's id than its beginning.
"""
