-- Why a host was first asked to end an execution: canceled, timeout or expired. A column that is there already is passed over.

ALTER TABLE command_host ADD COLUMN cancel_reason MEDIUMTEXT;
