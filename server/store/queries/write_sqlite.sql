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

-- name: save_output
-- The same content is kept once.
INSERT INTO output ({columns output}) VALUES ({values output}) ON CONFLICT (output_id) DO NOTHING;

-- name: save_task
-- Only forwards.
UPDATE task SET {sets task} WHERE task_id = :task_id AND version < :version;

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
INSERT INTO orphan_result ({columns orphan}) VALUES ({values orphan})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET {excluded orphan};

-- name: note_orphan
-- An execution that is known to be lost here; its report may have come before.
INSERT INTO orphan_result ({columns orphan}) VALUES ({values orphan})
ON CONFLICT (host_id, command_id, attempt) DO UPDATE SET seq = excluded.seq, stage = excluded.stage;

-- name: orphans_of
-- What one host's orphans take.
SELECT command_id, attempt, kept_bytes, report FROM orphan_result WHERE host_id = :host_id;

-- name: delete_orphans
-- All of a host's.
DELETE FROM orphan_result WHERE host_id = :host_id;

-- name: is_deleted
-- Whether the command was of a task that was deleted.
SELECT 1 FROM deleted_command WHERE command_id = :command_id;

-- name: note_deleted
-- So that what agents still hold of a deleted task is told from what the database has lost.
INSERT INTO deleted_command (command_id) SELECT command_id FROM command WHERE task_id = :task_id ON CONFLICT (command_id) DO NOTHING;

-- name: save_host
-- Insert or overwrite.
INSERT INTO host ({columns host}) VALUES ({values host}) ON CONFLICT (host_id) DO UPDATE SET {excluded host};

-- name: save_seq
-- Never lowered.
INSERT INTO host_seq (host_id, max_seq) VALUES (:host_id, :max_seq)
ON CONFLICT (host_id) DO UPDATE SET max_seq = excluded.max_seq WHERE excluded.max_seq > host_seq.max_seq;

-- name: save_seen
-- Only forwards.
INSERT INTO host_seen (host_id, last_seen_at) VALUES (:host_id, :last_seen_at)
ON CONFLICT (host_id) DO UPDATE SET last_seen_at = excluded.last_seen_at WHERE excluded.last_seen_at > host_seen.last_seen_at;

-- name: save_epoch_seen
-- Never lowered. The row is there: the host's number was saved before.
UPDATE host_seq SET max_epoch = :max_epoch WHERE host_id = :host_id AND max_epoch < :max_epoch;

-- name: create_join_token
-- A new join token; one that exists stays as it is.
INSERT INTO join_token ({columns join_token}) VALUES ({values join_token}) ON CONFLICT (token_id) DO NOTHING;

-- name: note_join
-- Who joined with what; a repeated transaction finds it there.
INSERT INTO join_use ({columns join_use}) VALUES ({values join_use}) ON CONFLICT (serial) DO NOTHING;

-- name: use_join_token
-- One use, if one is left.
UPDATE join_token SET uses_left = uses_left - 1 WHERE token_id = :token_id AND uses_left > 0 AND expires_at > :used_at;

-- name: save_identity
-- Insert or overwrite.
INSERT INTO host_identity ({columns identity}) VALUES ({values identity}) ON CONFLICT (host_id) DO UPDATE SET {excluded identity};

-- name: delete_join_token
-- A join token. Who joined with it stays known.
DELETE FROM join_token WHERE token_id = :token_id;

-- name: save_join_request
-- Insert or overwrite.
INSERT INTO join_request ({columns join_request}) VALUES ({values join_request}) ON CONFLICT (request_id) DO UPDATE SET {excluded join_request};

-- name: delete_join_request
-- A join that has become a host, or is out of date.
DELETE FROM join_request WHERE request_id = :request_id;

-- name: delete_identity
-- What is known of a host's certificates.
DELETE FROM host_identity WHERE host_id = :host_id;

-- name: save_meta
-- Insert or overwrite.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: delete_executions
-- All rows of a task's commands.
DELETE FROM command_host WHERE command_id IN (SELECT command_id FROM command WHERE task_id = :task_id);

-- name: delete_commands
-- A task's commands.
DELETE FROM command WHERE task_id = :task_id;

-- name: delete_targets
-- A task's targets.
DELETE FROM task_targets WHERE task_id = :task_id;

-- name: delete_keys
-- The idempotency key that made the task.
DELETE FROM idempotency WHERE task_id = :task_id;

-- name: delete_task
-- The task itself.
DELETE FROM task WHERE task_id = :task_id;

-- name: delete_seen
-- When a host was last heard of.
DELETE FROM host_seen WHERE host_id = :host_id;

-- name: delete_host
-- A host. Its dispatch number stays: the agent may come back under the same id, and no number is given twice.
DELETE FROM host WHERE host_id = :host_id;

-- name: save_kinds
-- The order in which a command's kinds of answers came; it only becomes longer.
UPDATE command SET answer_kinds = :answer_kinds WHERE command_id = :command_id AND COALESCE(LENGTH(answer_kinds), 0) < LENGTH(:answer_kinds);
