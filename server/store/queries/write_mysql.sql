-- All writes of MySQL and MariaDB. :rows is a list of rows, :keys a list of keys, :pairs a condition that names rows by both
-- parts of their key: one statement takes a whole batch.
-- VALUES(c) is the only upsert that both take. What {…} means stands in server/store/sql.py.
-- `SET id = table.id` changes nothing; INSERT IGNORE would also ignore values that do not fit.

-- name: create_task
-- New tasks; one that exists stays as it is.
INSERT INTO task ({columns task}) VALUES :rows ON DUPLICATE KEY UPDATE task_id = task.task_id;

-- name: create_targets
-- Their frozen lists of host ids.
INSERT INTO task_targets (task_id, targets) VALUES :rows ON DUPLICATE KEY UPDATE task_id = task_targets.task_id;

-- name: create_command
-- Their commands.
INSERT INTO command ({columns command}) VALUES :rows ON DUPLICATE KEY UPDATE command_id = command.command_id;

-- name: create_execution
-- Pending rows; everything else is the column's default.
INSERT INTO command_host (command_id, host_id) VALUES :rows ON DUPLICATE KEY UPDATE command_id = command_host.command_id;

-- name: create_key
-- What idempotency keys stand for from now on.
INSERT INTO idempotency ({columns idempotency}) VALUES :rows ON DUPLICATE KEY UPDATE task_id = idempotency.task_id;

-- name: keys_of
-- Whose the keys are.
SELECT idempotency_key, task_id FROM idempotency WHERE idempotency_key IN :keys;

-- name: find_takers
-- Which of these rows exist, are older than this version and have not ended (3 and above); locked until the transaction ends.
SELECT command_id, host_id FROM command_host {index PRIMARY}
WHERE status < 3 AND version < :version AND (:pairs) FOR UPDATE;

-- name: save_execution
-- Rows that take the change. One that has ended or is as new makes version NULL, which is an error; one that does not exist
-- is inserted, which the count of affected rows shows (2 for a changed row, 1 for a new one). version comes first, because
-- what is assigned later sees the new values.
INSERT INTO command_host ({columns execution}) VALUES :rows ON DUPLICATE KEY UPDATE
version = IF(version < VALUES(version) AND status < 3, VALUES(version), NULL), {renewed execution_but_version};

-- name: row_ends
-- How rows ended.
SELECT command_id, host_id, attempt, status, agent_finished_at, report, earlier, late_result FROM command_host {index PRIMARY}
WHERE :pairs FOR UPDATE;

-- name: save_late
-- Beside the row, which otherwise stays as it is.
UPDATE command_host SET late_result = :late_result WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_orphan
-- Reports for which there is no row.
INSERT INTO orphan_result ({columns orphan_result}) VALUES :rows ON DUPLICATE KEY UPDATE {renewed orphan_result};

-- name: note_orphan
-- Executions that are known to be lost here; their reports may have come before.
INSERT INTO orphan_result ({columns orphan_result}) VALUES :rows ON DUPLICATE KEY UPDATE seq = VALUES(seq), stage = VALUES(stage);

-- name: orphans_of
-- What one host's orphans take.
SELECT command_id, attempt, kept_bytes, report FROM orphan_result WHERE host_id = :host_id;

-- name: is_deleted
-- Whether the command was of a task that was deleted.
SELECT 1 FROM deleted_command WHERE command_id = :command_id;

-- name: note_deleted
-- So that what agents still hold of a deleted task is told from what the database has lost.
INSERT IGNORE INTO deleted_command (command_id) SELECT command_id FROM command WHERE task_id IN :keys;

-- name: note_join
-- Who joined with what; a repeated transaction finds it there, and affects no row.
INSERT INTO join_use ({columns join_use}) VALUES :rows ON DUPLICATE KEY UPDATE serial = join_use.serial;

-- name: use_join_token
-- One use, if one is left.
UPDATE join_token SET uses_left = uses_left - 1 WHERE token_id = :token_id AND uses_left > 0 AND expires_at > :used_at;

-- name: command_ids
-- The commands of tasks that are to go.
SELECT command_id FROM command WHERE task_id IN :keys;

-- name: delete_executions
-- All rows of some commands.
DELETE FROM command_host WHERE command_id IN :keys;
