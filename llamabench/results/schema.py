"""The tables of a run's file, and how older files become newer ones."""

from __future__ import annotations

_V1 = """
CREATE TABLE run (            -- one row: what was run, on what, how; `RunInfo` as JSON
    info TEXT NOT NULL,
    finished TEXT             -- when the last score was stored, ISO 8601; NULL until then
) STRICT;
CREATE TABLE item (           -- a row per finished item
    suite TEXT NOT NULL,
    id TEXT NOT NULL,
    ordinal INTEGER NOT NULL, -- place in the suite's order
    grp TEXT NOT NULL,        -- what scores are broken down by
    cluster TEXT NOT NULL,    -- items made from one template share it
    outcome TEXT NOT NULL CHECK (outcome IN ('scored', 'unparsed', 'errored')),
    facts TEXT NOT NULL,      -- JSON: what summing up needs beside the answers
    vals TEXT NOT NULL,       -- JSON: the numbers the suite made of the answers
    error TEXT,               -- why there are none
    exchanges TEXT NOT NULL,  -- JSON: prompts as the model read them, answers with their numbers
    PRIMARY KEY (suite, id)
) STRICT;
CREATE INDEX item_order ON item (suite, ordinal);
CREATE TABLE score (          -- a row per metric and group, written when a suite is complete
    suite TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    metric TEXT NOT NULL,     -- `Metric` as JSON
    signature TEXT NOT NULL,  -- what it may be compared with
    PRIMARY KEY (suite, ordinal)
) STRICT;
CREATE TABLE timing (         -- seconds spent on a suite, a row per chunk
    suite TEXT NOT NULL,
    seconds REAL NOT NULL,
    n_items INTEGER NOT NULL
) STRICT;
CREATE TABLE event (          -- what a reader of the report should know: resumed, recovered, warned
    time TEXT NOT NULL,       -- ISO 8601
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
"""

_V2 = """
CREATE TABLE audit (          -- a row per suite that was scored again, one sequence at a time
    suite TEXT PRIMARY KEY,
    document TEXT NOT NULL    -- `Audit` as JSON
) STRICT;
"""

_V3 = """
CREATE TABLE speed (          -- a row each time the machine's speed with the run's model and plan was measured
    measured TEXT NOT NULL,   -- ISO 8601
    document TEXT NOT NULL    -- `Speed` as JSON, every repeat in it
) STRICT;
"""

_V4 = """
CREATE TABLE reference (      -- a row per item that a reference model was asked too
    suite TEXT NOT NULL,
    id TEXT NOT NULL,
    vals TEXT NOT NULL,       -- JSON: the numbers the suite made of its answers, none where they failed
    PRIMARY KEY (suite, id)
) STRICT;
"""

_V5 = """
CREATE TABLE judge (          -- a row per model that was asked about stored answers, and way to ask it
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE, -- digest of all that decides what it says
    facts TEXT NOT NULL,      -- `JudgeFacts` or `RaterFacts` as JSON
    place INTEGER             -- NULL until it was asked everything; of two judges of the same, the higher one counts
) STRICT;
CREATE TABLE judgement (      -- a row per item and judge
    suite TEXT NOT NULL,
    id TEXT NOT NULL,
    judge INTEGER NOT NULL REFERENCES judge (number),
    verdicts TEXT NOT NULL,   -- JSON: `Judgement`s, one per answer and question
    PRIMARY KEY (suite, id, judge)
) STRICT;
"""

_V6 = """
CREATE TABLE rating (         -- a row per text that a scorer from elsewhere read: it is asked about none twice
    judge INTEGER NOT NULL REFERENCES judge (number),
    text TEXT NOT NULL,       -- SHA-256 of the text
    rating TEXT NOT NULL,     -- `Rating` as JSON
    PRIMARY KEY (judge, text)
) STRICT;
"""

_V7 = """
CREATE TABLE origin (         -- a row per chunk that workers of a cluster answered
    suite TEXT NOT NULL,
    ordinal INTEGER NOT NULL, -- place of its first item in the suite's order
    n_items INTEGER NOT NULL,
    workers TEXT NOT NULL,    -- JSON: their places among the workers of `RunInfo`
    PRIMARY KEY (suite, ordinal)
) STRICT;
"""

_V8 = """
ALTER TABLE run ADD COLUMN digest TEXT;  -- SHA-256 of `info` as a list of one text; NULL in older files
ALTER TABLE item ADD COLUMN digest TEXT; -- SHA-256 of the other columns in their order, as a JSON list
"""

MIGRATIONS: list[str] = [_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8]
"""Schema versions, oldest first; append, never edit. `PRAGMA user_version` counts those applied."""
