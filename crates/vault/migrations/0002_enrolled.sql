-- The token that an enrolled agent made for itself. An enrolment gives one and no second, also after the first was ended.
CREATE TABLE enrolled (
    domain BLOB NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL
) STRICT;
PRAGMA user_version = 2;
