"""What a level of noise is: one module a family of schedules."""
