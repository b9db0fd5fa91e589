-- What hosts are called: by operators, by their agents, and before; which host has taken another's place; which join tokens allow that.
-- host_seen: when a host was last heard of, apart from host because it is saved for all of them again and again.

ALTER TABLE host ADD COLUMN claimed TEXT NOT NULL DEFAULT '';
ALTER TABLE host ADD COLUMN given TEXT;
ALTER TABLE host ADD COLUMN former TEXT;
ALTER TABLE host ADD COLUMN replaced_by TEXT CHECK (length(replaced_by) <= 36);
ALTER TABLE host ADD COLUMN replaced_at INTEGER;
ALTER TABLE join_token ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0;

CREATE TABLE host_seen (
    host_id      TEXT PRIMARY KEY NOT NULL CHECK (length(host_id) <= 36),
    last_seen_at INTEGER NOT NULL
) WITHOUT ROWID;
