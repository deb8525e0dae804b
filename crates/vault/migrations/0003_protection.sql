-- What is protected, by which rules, and what came of it. Times are milliseconds since 1970.
CREATE TABLE policies (
    name TEXT NOT NULL PRIMARY KEY,
    -- as JSON
    settings TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE items (
    domain BLOB NOT NULL,
    name TEXT NOT NULL,
    -- as JSON
    files TEXT NOT NULL,
    policy TEXT REFERENCES policies (name),
    -- since when it has these schedules: slots before were not missed
    since_ms INTEGER NOT NULL,
    -- since when it has had a policy: its objective counts from here while it has no point
    protected_ms INTEGER,
    -- slot of the scheduled run that was completed last
    last_slot_ms INTEGER,
    -- so many of so many points expire only after a person has looked
    review_expiring INTEGER,
    review_points INTEGER,
    -- what a person has let expire last
    accepted_expiring INTEGER,
    accepted_points INTEGER,
    PRIMARY KEY (domain, name)
) STRICT;
CREATE INDEX items_by_policy ON items (policy);
CREATE TABLE domains (
    domain BLOB NOT NULL PRIMARY KEY,
    -- of what its agent protects; greater with every change
    revision INTEGER NOT NULL,
    -- the points that it had before the service kept book of them are in the table
    points_known INTEGER NOT NULL
) STRICT;
CREATE TABLE jobs (
    -- in the order in which the service learnt of them
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    domain BLOB NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    item TEXT,
    -- as JSON
    work TEXT NOT NULL,
    -- as JSON
    origin TEXT NOT NULL,
    -- the agent that took it or began it
    agent BLOB,
    state TEXT NOT NULL,
    fence INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    cancelling INTEGER NOT NULL,
    -- whoever took it last has been heard of since
    heard INTEGER NOT NULL,
    -- interrupted because its lease ran out: a later report may know better
    lapsed INTEGER NOT NULL,
    -- the newest point that the service knew of by then: the job did not make it
    points_before INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    warnings_count INTEGER NOT NULL,
    -- as JSON
    result TEXT,
    -- as JSON
    problem TEXT,
    UNIQUE (domain, id)
) STRICT;
CREATE INDEX jobs_by_domain ON jobs (domain, number);
CREATE INDEX jobs_by_item ON jobs (domain, item, number);
CREATE INDEX jobs_by_state ON jobs (state, domain);
CREATE INDEX jobs_by_id ON jobs (id);
CREATE TABLE job_logs (
    job INTEGER NOT NULL PRIMARY KEY REFERENCES jobs (number) ON DELETE CASCADE,
    -- as JSON
    lines TEXT NOT NULL,
    -- as JSON
    warnings TEXT NOT NULL
) STRICT;
CREATE TABLE agents (
    domain BLOB NOT NULL,
    agent BLOB NOT NULL,
    host TEXT NOT NULL,
    program TEXT NOT NULL,
    seen_ms INTEGER NOT NULL,
    -- how far its clock was ahead of the service's
    ahead_ms INTEGER NOT NULL,
    PRIMARY KEY (domain, agent)
) STRICT;
-- What the vault itself does not know of its points.
CREATE TABLE points (
    -- in the order in which the service learnt of them
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    domain BLOB NOT NULL,
    id BLOB NOT NULL,
    item TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    -- the agent that signed it, where a job may still tell what it is
    agent BLOB,
    -- when its session was opened
    place_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    origin TEXT NOT NULL,
    completeness TEXT NOT NULL,
    -- a job has told what it is
    described INTEGER NOT NULL,
    -- when it was soft-deleted, by the clock on which points expire
    deleted_ms INTEGER,
    -- a person brought it back: it expires only by a person's hand
    held INTEGER NOT NULL,
    UNIQUE (domain, id)
) STRICT;
CREATE INDEX points_by_item ON points (domain, item, sequence);
-- The clock on which points expire, as JSON.
CREATE TABLE clock (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    state TEXT NOT NULL
) STRICT;
-- When the service did its duties last, by that clock.
CREATE TABLE duties (
    domain BLOB NOT NULL,
    kind TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    PRIMARY KEY (domain, kind)
) STRICT;
PRAGMA user_version = 3;
