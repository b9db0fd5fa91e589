-- How long servers have run a task with a limit on its time, by clocks that cannot be set.

ALTER TABLE task ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0;
