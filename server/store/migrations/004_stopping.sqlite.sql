-- Why a host was first asked to end an execution: canceled, timeout or expired.

ALTER TABLE command_host ADD COLUMN cancel_reason TEXT;
