-- The ledger, first version. Numbers of states and kinds are those of src/ledger/sqlite/columns.rs; ids are their bytes.
-- A file with another application id is not a ledger; user_version counts the files of this folder.
PRAGMA application_id = 0x48466C64; -- 'HFld'

CREATE TABLE domains (
    domain       BLOB    NOT NULL PRIMARY KEY,
    incarnation  INTEGER NOT NULL,
    nonce        BLOB    NOT NULL,
    ready        INTEGER NOT NULL,
    next_number  INTEGER NOT NULL,
    next_pack    INTEGER NOT NULL,
    next_session INTEGER NOT NULL,
    next_segment INTEGER NOT NULL,
    marking      INTEGER NOT NULL,
    generation   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    domain         BLOB    NOT NULL,
    id             BLOB    NOT NULL,
    number         INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    item           TEXT,
    agent          BLOB,
    generation     INTEGER NOT NULL,
    pinned         BLOB,
    key            BLOB,
    opened_ms      INTEGER NOT NULL,
    lease_until_ms INTEGER,
    point          BLOB,
    PRIMARY KEY (domain, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_state ON sessions (domain, state, number);

CREATE TABLE packs (
    domain        BLOB    NOT NULL,
    name          BLOB    NOT NULL,
    number        INTEGER NOT NULL,
    kind          INTEGER,
    state         INTEGER NOT NULL,
    session       BLOB,
    length        INTEGER NOT NULL,
    entries       INTEGER NOT NULL,
    footer_hash   BLOB    NOT NULL,
    recovered     INTEGER NOT NULL,
    sightings     INTEGER NOT NULL,
    frame_damaged INTEGER NOT NULL,
    segment       INTEGER,
    PRIMARY KEY (domain, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX packs_by_number ON packs (domain, number);
CREATE INDEX packs_by_session ON packs (domain, session, number) WHERE session IS NOT NULL;
-- registered (2) and proven (3) packs that no segment covers
CREATE INDEX packs_in_tails ON packs (domain, number) WHERE segment IS NULL AND state IN (2, 3);

-- Footers stand apart, so that a walk over the packs does not read them.
CREATE TABLE footers (
    domain BLOB NOT NULL,
    pack   BLOB NOT NULL,
    footer BLOB NOT NULL,
    PRIMARY KEY (domain, pack),
    FOREIGN KEY (domain, pack) REFERENCES packs (domain, name) ON DELETE CASCADE
) STRICT;

-- places: ascending, each a varint of its distance to the one before less one.
CREATE TABLE condemned (
    domain     BLOB    NOT NULL,
    pack       BLOB    NOT NULL,
    generation INTEGER NOT NULL,
    places     BLOB    NOT NULL,
    PRIMARY KEY (domain, pack, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE damage (
    domain BLOB    NOT NULL,
    pack   BLOB    NOT NULL,
    place  INTEGER NOT NULL,
    blob   BLOB    NOT NULL,
    source INTEGER NOT NULL,
    PRIMARY KEY (domain, pack, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE points (
    domain      BLOB    NOT NULL,
    id          BLOB    NOT NULL,
    kind        INTEGER NOT NULL,
    item        TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    state       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    session     BLOB,
    time_ms     INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    purged_at   INTEGER,
    record      BLOB    NOT NULL,
    PRIMARY KEY (domain, id)
) STRICT;

CREATE INDEX points_by_number ON points (domain, number, id);
CREATE INDEX points_by_item ON points (domain, item, number, id);

CREATE TABLE heads (
    domain   BLOB    NOT NULL,
    item     TEXT    NOT NULL,
    point    BLOB    NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (domain, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    domain BLOB    NOT NULL,
    number INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    bytes  BLOB    NOT NULL,
    PRIMARY KEY (domain, number)
) STRICT;

CREATE INDEX journal_by_state ON journal (domain, state, number);

CREATE TABLE segments (
    domain  BLOB    NOT NULL,
    id      INTEGER NOT NULL,
    packs   INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (domain, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

PRAGMA user_version = 1;
