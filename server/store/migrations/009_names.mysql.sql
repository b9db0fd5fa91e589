-- What hosts are called: by operators, by their agents, and before; which host has taken another's place; which join tokens allow that.
-- host_seen: when a host was last heard of, apart from host because it is saved for all of them again and again.
-- Each statement is a step that may be run again; a column that is there already is passed over.

ALTER TABLE host ADD COLUMN claimed VARCHAR(255) NOT NULL DEFAULT '';

ALTER TABLE host ADD COLUMN given VARCHAR(255);

ALTER TABLE host ADD COLUMN former TEXT;

ALTER TABLE host ADD COLUMN replaced_by CHAR(36) CHARACTER SET ascii COLLATE ascii_bin;

ALTER TABLE host ADD COLUMN replaced_at BIGINT;

ALTER TABLE join_token ADD COLUMN replaces TINYINT UNSIGNED NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS host_seen (
    host_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    last_seen_at BIGINT NOT NULL,
    PRIMARY KEY (host_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
