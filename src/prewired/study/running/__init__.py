"""How a study runs: its tasks, the engines that do them, the database that keeps what they find."""
