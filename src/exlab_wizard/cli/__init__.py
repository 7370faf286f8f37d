"""The command line. It asks and acts on the database, whether or not the application runs; no SQL here."""
