-- The writes of MySQL and MariaDB that are no table's rule (server/store/statements.py has those). :rows is a list of rows, :keys a list
-- of keys, :pairs a condition that names rows by both parts of their key: one statement takes a whole batch.
-- VALUES(c) is the only upsert that both take. server/store/sql.py explains {…}.
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
-- Pending executions; all other columns have their defaults.
INSERT INTO command_host (command_id, host_id) VALUES :rows ON DUPLICATE KEY UPDATE command_id = command_host.command_id;

-- name: create_key
-- The tasks that idempotency keys created.
INSERT INTO idempotency ({columns idempotency}) VALUES :rows ON DUPLICATE KEY UPDATE task_id = idempotency.task_id;

-- name: keys_of
-- The tasks that created the keys.
SELECT idempotency_key, task_id FROM idempotency WHERE idempotency_key IN :keys;

-- name: find_takers
-- Those of these executions that exist, are older than this version and have not ended (3 and above); locked until the transaction ends.
SELECT command_id, host_id FROM command_host {index PRIMARY}
WHERE status < 3 AND version < :version AND (:pairs) FOR UPDATE;

-- name: save_execution
-- Executions that take the change. One that has ended or is as new makes version NULL, which is an error; one that does not exist
-- is inserted, which the count of affected rows shows (2 for a changed row, 1 for a new one). version is assigned first, because
-- later assignments see the new values.
INSERT INTO command_host ({columns execution}) VALUES :rows ON DUPLICATE KEY UPDATE
version = IF(version < VALUES(version) AND status < 3, VALUES(version), NULL), {renewed execution_but_version};

-- name: row_ends
-- How executions ended.
SELECT command_id, host_id, attempt, status, agent_finished_at, report, earlier, late_result FROM command_host {index PRIMARY}
WHERE :pairs FOR UPDATE;

-- name: save_late
-- Beside the execution, which otherwise stays as it is.
UPDATE command_host SET late_result = :late_result WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_orphan
-- Reports without an execution.
INSERT INTO orphan_result ({columns orphan_result}) VALUES :rows ON DUPLICATE KEY UPDATE {renewed orphan_result};

-- name: note_orphan
-- Executions that the database has lost; their reports may have come before.
INSERT INTO orphan_result ({columns orphan_result}) VALUES :rows ON DUPLICATE KEY UPDATE seq = VALUES(seq), stage = VALUES(stage);

-- name: orphans_of
-- The space that one host's orphans take.
SELECT command_id, attempt, kept_bytes, report FROM orphan_result WHERE host_id = :host_id;

-- name: is_deleted
-- A row if the command's task was deleted.
SELECT 1 FROM deleted_command WHERE command_id = :command_id;

-- name: note_deleted
-- So that an execution of a deleted task is distinguished from one that the database has lost.
INSERT IGNORE INTO deleted_command (command_id) SELECT command_id FROM command WHERE task_id IN :keys;

-- name: note_join
-- Which host joined with which token; a repeated transaction finds the row there, and affects none.
INSERT INTO join_use ({columns join_use}) VALUES :rows ON DUPLICATE KEY UPDATE serial = join_use.serial;

-- name: use_join_token
-- One use, if one is left.
UPDATE join_token SET uses_left = uses_left - 1 WHERE token_id = :token_id AND uses_left > 0 AND expires_at > :used_at;

-- name: command_ids
-- The commands of tasks that are deleted.
SELECT command_id FROM command WHERE task_id IN :keys;

-- name: delete_executions
-- All executions of some commands.
DELETE FROM command_host WHERE command_id IN :keys;
