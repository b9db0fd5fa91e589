-- The writes of SQLite that are no table's rule (server/store/statements.py has those), each for one row of a batch;
-- server/store/sqlite/row_statement.py makes statements for many rows of some of them.
-- server/store/sql.py explains {…}.

-- name: create_task
-- A new task; one that exists stays as it is.
INSERT INTO task ({columns task}) VALUES ({values task}) ON CONFLICT (task_id) DO NOTHING;

-- name: create_targets
-- Its frozen list of host ids.
INSERT INTO task_targets (task_id, targets) VALUES (:task_id, :targets) ON CONFLICT (task_id) DO NOTHING;

-- name: create_command
-- Its command.
INSERT INTO command ({columns command}) VALUES ({values command}) ON CONFLICT (command_id) DO NOTHING;

-- name: create_execution
-- One pending execution; all other columns have their defaults.
INSERT INTO command_host (command_id, host_id) VALUES (:command_id, :host_id) ON CONFLICT (command_id, host_id) DO NOTHING;

-- name: create_key
-- The task that the idempotency key created.
INSERT INTO idempotency ({columns idempotency}) VALUES ({values idempotency}) ON CONFLICT (idempotency_key) DO NOTHING;

-- name: save_execution
-- Only a newer version, and never an execution that has ended (3 and above).
UPDATE command_host SET {sets execution}
WHERE command_id = :command_id AND host_id = :host_id AND version < :version AND status < 3;

-- name: row_end
-- How an execution ended.
SELECT attempt, status, agent_finished_at, report, earlier, late_result FROM command_host WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_late
-- Beside the execution, which otherwise stays as it is.
UPDATE command_host SET late_result = :late_result WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_orphan
-- A report without an execution.
INSERT INTO orphan_result ({columns orphan_result}) VALUES ({values orphan_result})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET {excluded orphan_result};

-- name: note_orphan
-- An execution that the database has lost; its report may have come before.
INSERT INTO orphan_result ({columns orphan_result}) VALUES ({values orphan_result})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET seq = excluded.seq, stage = excluded.stage;

-- name: orphans_of
-- The space that one host's orphans take.
SELECT command_id, attempt, kept_bytes, report FROM orphan_result WHERE host_id = :host_id;

-- name: is_deleted
-- A row if the command's task was deleted.
SELECT 1 FROM deleted_command WHERE command_id = :command_id;

-- name: note_deleted
-- So that an execution of a deleted task is distinguished from one that the database has lost.
INSERT INTO deleted_command (command_id) SELECT command_id FROM command WHERE task_id = :task_id ON CONFLICT (command_id) DO NOTHING;

-- name: note_join
-- Which host joined with which token; a repeated transaction finds the row there.
INSERT INTO join_use ({columns join_use}) VALUES ({values join_use}) ON CONFLICT (serial) DO NOTHING;

-- name: use_join_token
-- One use, if one is left.
UPDATE join_token SET uses_left = uses_left - 1 WHERE token_id = :token_id AND uses_left > 0 AND expires_at > :used_at;

-- name: delete_executions
-- All executions of a task's commands.
DELETE FROM command_host WHERE command_id IN (SELECT command_id FROM command WHERE task_id = :task_id);
