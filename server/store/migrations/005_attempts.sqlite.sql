-- How long a task waits for hosts that are away, when it tries again, what it repeats; and, per row, earlier attempts (a JSON
-- list) and when the next one is due.

ALTER TABLE task ADD COLUMN wait_ms INTEGER;
ALTER TABLE task ADD COLUMN retry TEXT;
ALTER TABLE task ADD COLUMN rerun_of TEXT;
ALTER TABLE command_host ADD COLUMN earlier TEXT;
ALTER TABLE command_host ADD COLUMN retry_at INTEGER;
