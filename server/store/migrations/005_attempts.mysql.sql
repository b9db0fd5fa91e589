-- How long a task waits for hosts that are away, when it tries again, what it repeats; and, per row, earlier attempts (a JSON
-- list) and when the next one is due. A column that is there already is passed over.

ALTER TABLE task ADD COLUMN wait_ms BIGINT;
ALTER TABLE task ADD COLUMN retry MEDIUMTEXT;
ALTER TABLE task ADD COLUMN rerun_of CHAR(36) CHARACTER SET ascii COLLATE ascii_bin;
ALTER TABLE command_host ADD COLUMN earlier MEDIUMTEXT;
ALTER TABLE command_host ADD COLUMN retry_at BIGINT;
