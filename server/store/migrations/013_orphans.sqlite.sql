-- Executions that agents hold and that the database has lost: with the number of their dispatch and how far their host says that they have come
-- (NULL where only a report came), and the bytes of output kept of them. And the commands of deleted tasks, which are not lost.

ALTER TABLE orphan_result ADD COLUMN seq INTEGER;
ALTER TABLE orphan_result ADD COLUMN stage INTEGER;
ALTER TABLE orphan_result ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;

CREATE TABLE deleted_command (
    command_id TEXT PRIMARY KEY NOT NULL CHECK (length(command_id) <= 36)
) WITHOUT ROWID;
