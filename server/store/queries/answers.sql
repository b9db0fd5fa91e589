-- What a task's hosts answered, in few rows. Both databases understand these. What {…} means stands in server/store/sql.py.

-- name: answers
-- One row per kind of answer: when it first came, how many are unreachable, who they are.
SELECT status, exit_code, exit_signal, error_code, stdout_id, stderr_id, MIN(finished_at), SUM(unreachable), GROUP_CONCAT(host_id)
FROM command_host
WHERE command_id = :command_id
GROUP BY status, exit_code, exit_signal, error_code, stdout_id, stderr_id;
