-- Which version of each host set a task used, as JSON; NULL for none.

ALTER TABLE task ADD COLUMN host_sets {text};
