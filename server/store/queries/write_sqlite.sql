-- All writes of SQLite, each run once per row of a batch. What {…} means stands in server/store/sql.py.

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
-- One pending row; everything else is the column's default.
INSERT INTO command_host (command_id, host_id) VALUES (:command_id, :host_id) ON CONFLICT (command_id, host_id) DO NOTHING;

-- name: create_key
-- What the idempotency key stands for from now on.
INSERT INTO idempotency ({columns idempotency}) VALUES ({values idempotency}) ON CONFLICT (idempotency_key) DO NOTHING;

-- name: save_execution
-- Only forwards, and never what has ended (3 and above).
UPDATE command_host SET {sets execution}
WHERE command_id = :command_id AND host_id = :host_id AND version < :version AND status < 3;

-- name: row_end
-- How a row ended.
SELECT attempt, status, agent_finished_at, report, earlier, late_result FROM command_host WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_late
-- Beside the row, which otherwise stays as it is.
UPDATE command_host SET late_result = :late_result WHERE command_id = :command_id AND host_id = :host_id;

-- name: save_orphan
-- A report for which there is no row.
INSERT INTO orphan_result ({columns orphan_result}) VALUES ({values orphan_result})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET {excluded orphan_result};

-- name: note_orphan
-- An execution that is known to be lost here; its report may have come before.
INSERT INTO orphan_result ({columns orphan_result}) VALUES ({values orphan_result})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET seq = excluded.seq, stage = excluded.stage;

-- name: orphans_of
-- What one host's orphans take.
SELECT command_id, attempt, kept_bytes, report FROM orphan_result WHERE host_id = :host_id;

-- name: is_deleted
-- Whether the command was of a task that was deleted.
SELECT 1 FROM deleted_command WHERE command_id = :command_id;

-- name: note_deleted
-- So that what agents still hold of a deleted task is told from what the database has lost.
INSERT INTO deleted_command (command_id) SELECT command_id FROM command WHERE task_id = :task_id ON CONFLICT (command_id) DO NOTHING;

-- name: note_join
-- Who joined with what; a repeated transaction finds it there.
INSERT INTO join_use ({columns join_use}) VALUES ({values join_use}) ON CONFLICT (serial) DO NOTHING;

-- name: use_join_token
-- One use, if one is left.
UPDATE join_token SET uses_left = uses_left - 1 WHERE token_id = :token_id AND uses_left > 0 AND expires_at > :used_at;

-- name: delete_executions
-- All rows of a task's commands.
DELETE FROM command_host WHERE command_id IN (SELECT command_id FROM command WHERE task_id = :task_id);
