"""The engine: it looks, lets the planner decide, does, and records. The only place where store, CA and solvers meet."""
