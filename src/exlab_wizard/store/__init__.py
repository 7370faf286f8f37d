"""The only room with SQL. What is pending, leased and decided lives here, durable when a call returns."""
