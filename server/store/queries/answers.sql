-- The results of a task, in few rows. Both databases understand these. server/store/sql.py explains {…}.

-- name: answers
-- One row per result: its first time, and the host ids. MySQL has its own query, answers_mysql.sql.
SELECT status, exit_code, exit_signal, error_code, stdout_id, stderr_id, MIN(finished_at), GROUP_CONCAT(host_id)
FROM command_host
WHERE command_id = :command_id
GROUP BY status, exit_code, exit_signal, error_code, stdout_id, stderr_id;

-- name: output_beginnings
-- The first bytes and the sizes of up to sixteen outputs.
SELECT output_id, SUBSTR(head, 1, :bytes), LENGTH(head), LENGTH(tail), total_bytes FROM output WHERE output_id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7, :id8, :id9, :id10, :id11, :id12, :id13, :id14, :id15);

-- name: answer_kinds
-- The order of a command's kinds of results, as far as it was shown.
SELECT answer_kinds FROM command WHERE command_id = :command_id;
