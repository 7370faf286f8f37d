"""Who may call: token, login link, cookie, and how an open page reconnects after a restart."""
