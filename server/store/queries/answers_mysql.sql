-- The results of a task, on MySQL: a part of the rows as one text, a line each, because reading a row costs far more than reading its
-- bytes. Grouping such lines costs less than the sort with which the database would group the rows.

-- name: part_end
-- The last host of the part that begins after one.
SELECT host_id FROM command_host WHERE command_id = :command_id AND host_id > :after ORDER BY host_id LIMIT 1 OFFSET :offset;

-- name: answer_lines
-- What makes two results equal, in hexadecimal where it could hold anything; a tab; the time, and the host id.
SELECT COUNT(*), GROUP_CONCAT(CONCAT(status, ' ', IFNULL(exit_code, '-'), ' ', IFNULL(exit_signal, '-'), ' ', IFNULL(HEX(LEFT(error_code, 200)), '-'), ' ', IFNULL(HEX(UNHEX(MD5(error_code))), '-'), ' ',
    IFNULL(HEX(stdout_id), '-'), ' ', IFNULL(HEX(stderr_id), '-'), '\t', IFNULL(finished_at, '-'), ' ', host_id) SEPARATOR '\n')
FROM command_host WHERE command_id = :command_id AND host_id > :after AND host_id <= :last;

-- name: state_lines
-- The state of every execution.
SELECT COUNT(*), GROUP_CONCAT(CONCAT(status, ' ', unreachable, ' ', host_id) SEPARATOR '\n')
FROM command_host WHERE command_id = :command_id AND host_id > :after AND host_id <= :last;
