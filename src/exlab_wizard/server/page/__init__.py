"""The operator's page: plain HTML from the server, one style sheet, one script that follows the event stream."""
