-- Executions that agents hold and that the database has lost: with the number of their dispatch and how far their host says that they have come
-- (NULL where only a report came), and the bytes of output kept of them. And the commands of deleted tasks, which are not lost. A column that is
-- there already is passed over.

ALTER TABLE orphan_result ADD COLUMN seq BIGINT;
ALTER TABLE orphan_result ADD COLUMN stage TINYINT;
ALTER TABLE orphan_result ADD COLUMN kept_bytes BIGINT NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS deleted_command (
    command_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (command_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
