-- All reads; both databases understand them. server/store/sql.py explains {…}.

-- name: task
-- One task without its targets.
SELECT {selected task} FROM task WHERE task_id = :task_id;

-- name: targets
-- The frozen list of a task's host ids.
SELECT targets FROM task_targets WHERE task_id = :task_id;

-- name: commands
-- A task's commands.
SELECT {selected command} FROM command WHERE task_id = :task_id ORDER BY command_id;

-- name: count_tasks
-- Tasks by status, from an index alone.
SELECT status, COUNT(*) FROM task {index task_by_status} GROUP BY status;

-- name: sum_executions
-- Executions by status, from the tasks' counters.
SELECT SUM(count_pending), SUM(count_dispatched), SUM(count_running), SUM(count_completed), SUM(count_failed),
       SUM(count_timeout), SUM(count_canceled), SUM(count_dispatch_failed), SUM(count_lost)
FROM task;

-- name: known_key
-- What an idempotency key was used for.
SELECT task_id, request_digest FROM idempotency WHERE idempotency_key = :idempotency_key;

-- name: open_tasks
-- Every task of one status, oldest first; for the server's start.
SELECT {selected task} FROM task {index task_by_status} WHERE status = :status ORDER BY task_id;

-- name: open_executions
-- The executions of a command that have not ended; for the server's start.
SELECT {selected execution} FROM command_host {index command_host_by_status} WHERE command_id = :command_id AND status < 3;

-- name: executions
-- One page of a command's executions by host.
SELECT {selected execution}, host.hostname
FROM command_host LEFT JOIN host ON host.host_id = command_host.host_id
WHERE command_host.command_id = :command_id AND command_host.host_id > :after
ORDER BY command_host.host_id LIMIT :limit;

-- name: executions_by_status
-- One page of a command's executions of one status by host.
SELECT {selected execution}, host.hostname
FROM command_host {index command_host_by_status} LEFT JOIN host ON host.host_id = command_host.host_id
WHERE command_host.command_id = :command_id AND command_host.status = :status AND command_host.host_id > :after
ORDER BY command_host.host_id LIMIT :limit;

-- name: execution
-- One execution.
SELECT {selected execution}, host.hostname
FROM command_host LEFT JOIN host ON host.host_id = command_host.host_id
WHERE command_host.command_id = :command_id AND command_host.host_id = :host_id;

-- name: executions_of_host
-- One page of a host's executions, newest first.
SELECT {selected execution} FROM command_host {index command_host_by_host}
WHERE host_id = :host_id AND command_id < :after
ORDER BY command_id DESC LIMIT :limit;

-- name: states
-- The state of every execution of a command as one text, a line each, because reading a row costs far more. MySQL has its own query.
SELECT GROUP_CONCAT(status || ' ' || unreachable || ' ' || host_id, CHAR(10)) FROM command_host WHERE command_id = :command_id;

-- name: tasks_of
-- The tasks of up to sixteen commands.
SELECT command.command_id, task.task_id, task.name FROM command JOIN task ON task.task_id = command.task_id
WHERE command.command_id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7, :id8, :id9, :id10, :id11, :id12, :id13, :id14, :id15);

-- name: known_executions
-- Those of up to sixteen commands that a host has an execution of, or whose task was deleted.
SELECT command_id FROM command_host {index command_host_by_host} WHERE host_id = :host_id AND command_id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7, :id8, :id9, :id10, :id11, :id12, :id13, :id14, :id15)
UNION SELECT command_id FROM deleted_command WHERE command_id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7, :id8, :id9, :id10, :id11, :id12, :id13, :id14, :id15);

-- name: orphans
-- One page of executions that hosts hold and the database has lost.
SELECT host_id, command_id, attempt, received_at, seq, stage, report FROM orphan_result
WHERE host_id >= :first AND host_id <= :last AND (host_id > :host_id OR (host_id = :host_id AND (command_id > :command_id OR (command_id = :command_id AND attempt > :attempt))))
ORDER BY host_id, command_id, attempt LIMIT :limit;

-- name: output
-- What is kept of one stream.
SELECT {selected output} FROM output WHERE output_id = :output_id;

-- name: output_summaries
-- Sizes of up to sixteen outputs, without their bytes.
SELECT output_id, LENGTH(head), LENGTH(tail), total_bytes FROM output WHERE output_id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7, :id8, :id9, :id10, :id11, :id12, :id13, :id14, :id15);

-- name: hosts
-- All hosts with the highest dispatch number of each, the time of its last message, and the highest epoch that it has claimed.
SELECT {selected host}, COALESCE(host_seq.max_seq, 0), host_seen.last_seen_at, COALESCE(host_seq.max_epoch, 0)
FROM host LEFT JOIN host_seq ON host_seq.host_id = host.host_id LEFT JOIN host_seen ON host_seen.host_id = host.host_id;

-- name: meta
-- A fact about the installation.
SELECT value FROM meta WHERE name = :name;

-- name: ping
-- The cheapest query that reads a table.
SELECT version FROM schema_version WHERE version = 1;
