"""What is made of decoded columns before a task reads them: a transform a file, and the chain of those a job names."""
