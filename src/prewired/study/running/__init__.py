"""How a study runs: its tasks, the engines that do them, and the database that stores the results."""
