-- Join tokens that are bound to networks, and joins that wait for an operator's word.

ALTER TABLE join_token ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE join_token ADD COLUMN approve INTEGER NOT NULL DEFAULT 0;

CREATE TABLE join_request (
    request_id       TEXT PRIMARY KEY NOT NULL CHECK (length(request_id) <= 32),
    token_id         TEXT NOT NULL CHECK (length(token_id) <= 16),
    csr              BLOB NOT NULL CHECK (length(csr) <= 8192),
    hostname         TEXT NOT NULL CHECK (length(hostname) <= 255),
    previous_host_id TEXT NOT NULL CHECK (length(previous_host_id) <= 36),
    address          TEXT NOT NULL CHECK (length(address) <= 64),
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    decided_at       INTEGER,
    decided_by       TEXT,
    approved         INTEGER NOT NULL
);
