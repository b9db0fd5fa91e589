-- The highest epoch that each host has claimed to have met, so that a database that was set back is found out once per host.

ALTER TABLE host_seq ADD COLUMN max_epoch INTEGER NOT NULL DEFAULT 0;
