-- Who may do what. A token's secret is not here: only its hash.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL,
    name TEXT NOT NULL,
    -- 'administrator', or 'agent' of one domain
    role TEXT NOT NULL,
    domain BLOB,
    agent BLOB,
    -- exchanged for a lasting one, once
    one_time INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) STRICT;
PRAGMA user_version = 1;
