"""SQL that people write, run on the live database behind four locks."""
