"""Why aims are missed, from the profile; shown under a section with a missed aim.

The profiles were taken on 2026-11-30 with a clock of the CPU of each thread. Take them again when the figures change.
"""

REASONS = {
    "cost": """
Of 11.4 s on SQLite, the start of the command takes 1.1 s, more than half of it for importing SQLAlchemy, pydantic and
httpx. SQLite itself takes 3.0 s: 1,100 commits 0.5 s, the results of 20,000 purchases 0.4 s. The other 7.2 s are
Python: 200 polls with their 20,000 results 2.4 s, 200 purchases 1.8 s, comparing and writing 3 s, reading and planning
1.6 s. Each record is in about ten row changes and a dozen row reads of the ledger, one for each step that must survive
a crash; each costs 5 to 10 µs in SQLAlchemy and in the conversion of the row. No function has more than 4% by itself.
PostgreSQL adds the encoding of every row in psycopg, about 7 s.""",
    "lookups": """
A lookup buys for one person what a batch buys for a hundred: two HTTP requests, each about 1 ms in httpx and h11, and
30 statements in 13 transactions, each 60 to 80 µs in SQLAlchemy: the hold with its caps, the check before the request
leaves, the accepted task, its poll, the result with its sums, and the record that becomes ready.""",
    "calls": """
By jobs, both compares read every record: ten requests for two times 10,000. The query job takes four requests and the
job of updates four, each with one look at it. Seven more are the token, the limits, the org's id, the description of
the object, both conditions, and the count that tells when the first look is worth it.""",
    "large": """
The memory of the undo stops growing at about 100,000 records: it is 99 MB at 10,000, 104 at 30,000, 112 at 60,000, 122
at 100,000 and 127 at 1,000,000. Python's own objects stay between 57 and 59 MB, as tracemalloc counts them; the rest is
freed memory that the C allocator keeps for later, and the pages of SQLite.""",
    "linkedin": """
Each resolution is an HTTP request for one person, which costs 2 ms of CPU: httpx and h11 take half of it, and the rate
limiter, the reading of the answer and the second plan of the record take the rest.""",
    "refused": """
A refused record is sent four times: whole, each of its two values alone, and the rest. Each time it is read again,
decided, and stored with its before-image, because a person may have edited it meanwhile.""",
    "workers": """
The processors are the limit: the workers, the database and the simulated sites share them, and one worker alone keeps
more than one of them busy.""",
    "views": """
`credits` computes the cost of a delivered value from the results of all purchases, in one narrow index: 0.4 s for two
million. Its other sums are kept up to date, and its start costs as much as that of `status`.""",
    "pace": """
A permit whose turn comes while its process is busy with another batch is lost; three processes, the database and the
sites share the processors here.""",
}
