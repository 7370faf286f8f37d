"""One process and its life: its lock, its threads, its log, its signals, its supervisor."""
