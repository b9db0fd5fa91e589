-- Identity: tokens with which hosts join, who has joined with which, and what is known of each host's certificates.

CREATE TABLE join_token (
    token_id   TEXT PRIMARY KEY NOT NULL CHECK (length(token_id) <= 16),
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    expires_at INTEGER NOT NULL,
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    labels     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- One row per join. It makes a transaction that is repeated take one use only, and outlives token and host.
CREATE TABLE join_use (
    serial   TEXT PRIMARY KEY NOT NULL CHECK (length(serial) <= 40),
    token_id TEXT NOT NULL,
    host_id  TEXT NOT NULL CHECK (length(host_id) <= 36),
    used_at  INTEGER NOT NULL
);

CREATE TABLE host_identity (
    host_id           TEXT PRIMARY KEY NOT NULL CHECK (length(host_id) <= 36),
    generation        INTEGER NOT NULL,
    joined_generation INTEGER NOT NULL,
    serial            TEXT NOT NULL CHECK (length(serial) <= 40),
    not_after         INTEGER NOT NULL,
    issued_at         INTEGER NOT NULL,
    token_id          TEXT NOT NULL,
    next_serial       TEXT,
    next_not_after    INTEGER,
    revoked_at        INTEGER,
    revoked_by        TEXT,
    quarantined_at    INTEGER,
    quarantine_reason TEXT,
    released_at       INTEGER
);
