-- In which order a command's kinds of answers came: eight bytes of each, see server/core/results/groups.py.

ALTER TABLE command ADD COLUMN answer_kinds BLOB;
