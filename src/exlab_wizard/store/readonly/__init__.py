"""SQL that somebody else wrote, run on the live database behind four locks."""
