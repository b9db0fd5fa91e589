-- What a task's hosts answered, on MySQL: a part of the rows as one text, a line each, because every row of a result costs its reader far
-- more than its bytes. Grouping such lines costs less than the sort with which the database would group the rows.

-- name: part_end
-- The last host of the part that begins after one.
SELECT host_id FROM command_host WHERE command_id = :command_id AND host_id > :after ORDER BY host_id LIMIT 1 OFFSET :offset;

-- name: answer_lines
-- What makes two answers the same, in hexadecimal where it could hold anything; a tab; when it came, and who.
SELECT COUNT(*), GROUP_CONCAT(CONCAT(status, ' ', IFNULL(exit_code, '-'), ' ', IFNULL(exit_signal, '-'), ' ', IFNULL(HEX(LEFT(error_code, 200)), '-'), ' ', IFNULL(HEX(UNHEX(MD5(error_code))), '-'), ' ',
    IFNULL(HEX(stdout_id), '-'), ' ', IFNULL(HEX(stderr_id), '-'), '\t', IFNULL(finished_at, '-'), ' ', host_id) SEPARATOR '\n')
FROM command_host WHERE command_id = :command_id AND host_id > :after AND host_id <= :last;

-- name: state_lines
-- The state of every execution, and nothing else.
SELECT COUNT(*), GROUP_CONCAT(CONCAT(status, ' ', unreachable, ' ', host_id) SEPARATOR '\n')
FROM command_host WHERE command_id = :command_id AND host_id > :after AND host_id <= :last;
