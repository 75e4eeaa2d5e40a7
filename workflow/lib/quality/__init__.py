"""What is doubtful about a data set: measured, stored in quality.json and shown."""
