-- The hosts of each result that have a note (proto/notes.py). Both databases understand this. server/store/sql.py explains {…}.

-- name: notes
-- One row per result that has any note: its kind, and a count per note, in the order of proto.notes.MARKED.
SELECT status, exit_code, exit_signal, error_code, stdout_id, stderr_id,
    SUM(report LIKE '%"leftovers_killed"%'),
    SUM(report LIKE '%"left_running"%'),
    SUM(report LIKE '%"pipe_held"%'),
    SUM(report LIKE '%"tree_empty"_false%'),
    SUM(report LIKE '%"oom_killed"%'),
    SUM(report LIKE '%"limit_hit"%')
FROM command_host
WHERE command_id = :command_id AND status >= 3 AND (report LIKE '%"leftovers_killed"%' OR report LIKE '%"left_running"%' OR report LIKE '%"pipe_held"%' OR report LIKE '%"tree_empty"_false%' OR report LIKE '%"oom_killed"%' OR report LIKE '%"limit_hit"%')
GROUP BY status, exit_code, exit_signal, error_code, stdout_id, stderr_id;
