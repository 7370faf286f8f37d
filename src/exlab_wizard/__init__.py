"""exlab-wizard brings the runs of laboratory instruments to the NAS and never loses pending work."""

__version__ = "0.1.0"
