"""Running a study: the table of tasks, the engines that do the tasks, and the database that stores the results."""
