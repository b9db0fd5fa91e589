"""Results of executions: their groups, outputs, filters and comparison."""
