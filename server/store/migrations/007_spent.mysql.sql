-- How long servers have run a task with a limit on its time, by clocks that cannot be set. A column that is there already is
-- passed over.

ALTER TABLE task ADD COLUMN spent_ms BIGINT NOT NULL DEFAULT 0;
