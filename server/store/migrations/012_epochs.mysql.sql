-- The highest epoch that each host has claimed to have met, so that a database that was set back is found out once per host.
-- A column that is there already is passed over.

ALTER TABLE host_seq ADD COLUMN max_epoch BIGINT NOT NULL DEFAULT 0;
