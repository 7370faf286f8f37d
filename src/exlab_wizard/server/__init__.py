"""The HTTP interface of the running application, for the programs and pages of its owner."""
